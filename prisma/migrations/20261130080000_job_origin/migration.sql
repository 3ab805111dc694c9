-- AlterTable
ALTER TABLE `jobs` ADD COLUMN `request_id` VARCHAR(100) NULL,
    ADD COLUMN `traceparent` VARCHAR(55) NULL;
