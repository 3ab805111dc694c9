export { altSchema } from "./alt";
export { encodeAvif, inTurn, readPicture } from "./picture";
export { contentOf, describedPictureForm, pictureForm, takeUpload } from "./upload";
