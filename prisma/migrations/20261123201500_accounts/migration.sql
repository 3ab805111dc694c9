-- AlterTable
ALTER TABLE `users` ADD COLUMN `auth_epoch` INTEGER NOT NULL DEFAULT 0;

-- AlterTable
ALTER TABLE `sessions` ADD COLUMN `method` VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'password',
    ADD COLUMN `device_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL;

-- AlterTable
ALTER TABLE `verification_codes` ADD COLUMN `email` VARCHAR(254) NULL,
    ADD COLUMN `requested_ip` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL,
    MODIFY `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL;

-- CreateTable
CREATE TABLE `rate_limits` (
    `key` VARCHAR(120) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `points` INTEGER NOT NULL,
    `expires_at` DATETIME(3) NOT NULL,

    INDEX `rate_limits_expires_at_idx`(`expires_at`),
    PRIMARY KEY (`key`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
