export { altSchema } from "./alt";
export { encodeAvif, inTurn, readPicture } from "./picture";
export { describedPictureForm, pictureForm, takeUpload } from "./upload";
