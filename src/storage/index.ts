export { checkFolder, createDiskStorage } from "./disk";
export { createS3Storage } from "./s3";
export { type Storage, StorageUnavailable, type StoredFile, streamOf } from "./storage";
