-- CreateTable
CREATE TABLE `audit_entries` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `at` DATETIME(3) NOT NULL,
    `action` VARCHAR(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `actor_kind` VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `actor_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `subject_user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `ip` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `user_agent` VARCHAR(500) NULL,
    `detail` JSON NOT NULL,

    INDEX `audit_entries_at_id_idx`(`at`, `id`),
    INDEX `audit_entries_subject_user_id_at_id_idx`(`subject_user_id`, `at`, `id`),
    INDEX `audit_entries_actor_id_at_id_idx`(`actor_id`, `at`, `id`),
    INDEX `audit_entries_action_at_id_idx`(`action`, `at`, `id`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
