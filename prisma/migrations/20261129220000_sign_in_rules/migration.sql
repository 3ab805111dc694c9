-- AlterTable
ALTER TABLE `sessions` ADD COLUMN `seen_counter` INTEGER NOT NULL DEFAULT 0;

-- What was given out before counts as used, as it did then.
UPDATE `sessions` SET `seen_counter` = `refresh_counter`;

-- AlterTable
ALTER TABLE `roles` ADD COLUMN `requires_second_factor` BOOLEAN NOT NULL DEFAULT false;

-- CreateTable
CREATE TABLE `known_devices` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_agent` VARCHAR(500) NOT NULL,
    `ip` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `created_at` DATETIME(3) NOT NULL,
    `last_used_at` DATETIME(3) NOT NULL,
    `expires_at` DATETIME(3) NOT NULL,
    `forgotten_at` DATETIME(3) NULL,

    INDEX `known_devices_user_id_last_used_at_idx`(`user_id`, `last_used_at`),
    INDEX `known_devices_expires_at_idx`(`expires_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- AddForeignKey
ALTER TABLE `known_devices` ADD CONSTRAINT `known_devices_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- The devices of the sign-ins that are still kept.
INSERT INTO `known_devices` (`id`, `user_id`, `user_agent`, `ip`, `created_at`, `last_used_at`, `expires_at`)
SELECT `device_id`, `user_id`, MAX(`user_agent`), MAX(`ip`), MIN(`created_at`), MAX(`last_used_at`),
    DATE_ADD(MAX(`created_at`), INTERVAL 180 DAY)
FROM `sessions` WHERE `device_id` IS NOT NULL GROUP BY `device_id`, `user_id`;
