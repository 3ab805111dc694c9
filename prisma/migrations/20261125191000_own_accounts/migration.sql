-- AlterTable
ALTER TABLE `users` ADD COLUMN `avatar_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD COLUMN `avatar_widths` JSON NULL;

-- CreateIndex
CREATE UNIQUE INDEX `users_avatar_id_key` ON `users`(`avatar_id`);

-- CreateTable
CREATE TABLE `user_settings` (
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `kind` VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `shape` INTEGER NOT NULL,
    `data` JSON NOT NULL,
    `version` INTEGER NOT NULL,
    `updated_at` DATETIME(3) NOT NULL,

    PRIMARY KEY (`user_id`, `kind`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `email_changes` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `new_email` VARCHAR(254) NOT NULL,
    `new_email_canonical` VARCHAR(254) COLLATE utf8mb4_bin NOT NULL,
    `old_hash` BINARY(32) NULL,
    `new_hash` BINARY(32) NULL,
    `old_confirmed_at` DATETIME(3) NULL,
    `new_confirmed_at` DATETIME(3) NULL,
    `requested_at` DATETIME(3) NOT NULL,
    `requested_ip` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `expires_at` DATETIME(3) NOT NULL,
    `ended_at` DATETIME(3) NULL,
    `end_reason` VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NULL,

    INDEX `email_changes_user_id_requested_at_idx`(`user_id`, `requested_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `user_exports` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `status` VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `size` BIGINT NULL,
    `created_at` DATETIME(3) NOT NULL,
    `ready_at` DATETIME(3) NULL,
    `expires_at` DATETIME(3) NULL,

    INDEX `user_exports_user_id_created_at_idx`(`user_id`, `created_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- AddForeignKey
ALTER TABLE `user_settings` ADD CONSTRAINT `user_settings_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `email_changes` ADD CONSTRAINT `email_changes_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `user_exports` ADD CONSTRAINT `user_exports_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;
