-- AlterTable
ALTER TABLE `api_keys` ADD COLUMN `secret_digest` BINARY(32) NULL;

-- CreateTable
CREATE TABLE `api_key_hash_keys` (
    `hash_key` BINARY(32) NOT NULL,
    `noted_at` DATETIME(3) NOT NULL,

    PRIMARY KEY (`hash_key`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
