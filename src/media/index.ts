export { altSchema, MAX_ALT } from "./alt";
export { createPictureSource, type PictureSource, PictureUnavailable } from "./download";
export { keepRenditions } from "./keep";
export { encodeAvif, inTurn, readPicture } from "./picture";
export { contentOf, describedPictureForm, pictureForm, takeUpload } from "./upload";
