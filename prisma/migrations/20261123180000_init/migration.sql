-- Ids, keys and hashes compare byte for byte (ascii_bin, utf8mb4_bin); only text for people keeps
-- a linguistic collation.

-- CreateTable
CREATE TABLE `users` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `email` VARCHAR(254) NOT NULL,
    `email_canonical` VARCHAR(254) COLLATE utf8mb4_bin NOT NULL,
    `name` VARCHAR(200) NOT NULL,
    `hashed_password` VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `email_verified_at` DATETIME(3) NULL,
    `banned_at` DATETIME(3) NULL,
    `ban_reason` VARCHAR(500) NULL,
    `deleted_at` DATETIME(3) NULL,
    `version` INTEGER NOT NULL DEFAULT 1,
    `created_at` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    `updated_at` DATETIME(3) NOT NULL,

    UNIQUE INDEX `users_email_canonical_key`(`email_canonical`),
    INDEX `users_created_at_id_idx`(`created_at`, `id`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `sessions` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `refresh_counter` INTEGER NOT NULL DEFAULT 0,
    `rotated_at` DATETIME(3) NOT NULL,
    `user_agent` VARCHAR(500) NOT NULL,
    `ip` VARCHAR(45) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `created_at` DATETIME(3) NOT NULL,
    `last_used_at` DATETIME(3) NOT NULL,
    `absolute_expires_at` DATETIME(3) NOT NULL,
    `idle_expires_at` DATETIME(3) NOT NULL,
    `ended_at` DATETIME(3) NULL,
    `end_reason` VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `end_detail` VARCHAR(255) NULL,

    INDEX `sessions_user_id_created_at_idx`(`user_id`, `created_at`),
    INDEX `sessions_absolute_expires_at_idx`(`absolute_expires_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `roles` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `name` VARCHAR(50) COLLATE utf8mb4_bin NOT NULL,
    `description` VARCHAR(255) NOT NULL,
    `created_at` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    UNIQUE INDEX `roles_name_key`(`name`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `permissions` (
    `name` VARCHAR(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `description` VARCHAR(255) NOT NULL,

    PRIMARY KEY (`name`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `role_permissions` (
    `role_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `permission_name` VARCHAR(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,

    INDEX `role_permissions_permission_name_idx`(`permission_name`),
    PRIMARY KEY (`role_id`, `permission_name`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `user_roles` (
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `role_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `granted_at` DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),

    INDEX `user_roles_role_id_idx`(`role_id`),
    PRIMARY KEY (`user_id`, `role_id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `verification_codes` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `purpose` VARCHAR(30) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `code_hash` BINARY(32) NULL,
    `pending_name` VARCHAR(200) NULL,
    `pending_hashed_password` VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL,
    `failures` INTEGER NOT NULL DEFAULT 0,
    `requested_at` DATETIME(3) NOT NULL,
    `expires_at` DATETIME(3) NOT NULL,
    `consumed_at` DATETIME(3) NULL,
    `created_at` DATETIME(3) NOT NULL,

    INDEX `verification_codes_user_id_purpose_idx`(`user_id`, `purpose`),
    INDEX `verification_codes_expires_at_idx`(`expires_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `jobs` (
    `id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `kind` VARCHAR(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `payload` JSON NOT NULL,
    `dedupe_key` VARCHAR(190) COLLATE utf8mb4_bin NULL,
    `status` VARCHAR(10) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'waiting',
    `run_at` DATETIME(3) NOT NULL,
    `attempts` INTEGER NOT NULL DEFAULT 0,
    `max_attempts` INTEGER NOT NULL,
    `fence` INTEGER NOT NULL DEFAULT 0,
    `progress` JSON NULL,
    `last_error` VARCHAR(1000) NULL,
    `created_at` DATETIME(3) NOT NULL,
    `finished_at` DATETIME(3) NULL,

    UNIQUE INDEX `jobs_dedupe_key_key`(`dedupe_key`),
    INDEX `jobs_status_run_at_idx`(`status`, `run_at`),
    INDEX `jobs_finished_at_idx`(`finished_at`),
    PRIMARY KEY (`id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- CreateTable
CREATE TABLE `idempotency_keys` (
    `caller_id` VARCHAR(60) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `key` VARCHAR(200) COLLATE utf8mb4_bin NOT NULL,
    `request_hash` BINARY(32) NOT NULL,
    `lease_until` DATETIME(3) NOT NULL,
    `lease_token` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    `status` INTEGER NULL,
    `body` JSON NULL,
    `created_at` DATETIME(3) NOT NULL,
    `expires_at` DATETIME(3) NOT NULL,

    INDEX `idempotency_keys_expires_at_idx`(`expires_at`),
    PRIMARY KEY (`caller_id`, `key`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- AddForeignKey
ALTER TABLE `sessions` ADD CONSTRAINT `sessions_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `role_permissions` ADD CONSTRAINT `role_permissions_role_id_fkey` FOREIGN KEY (`role_id`) REFERENCES `roles`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `role_permissions` ADD CONSTRAINT `role_permissions_permission_name_fkey` FOREIGN KEY (`permission_name`) REFERENCES `permissions`(`name`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `user_roles` ADD CONSTRAINT `user_roles_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `user_roles` ADD CONSTRAINT `user_roles_role_id_fkey` FOREIGN KEY (`role_id`) REFERENCES `roles`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE `verification_codes` ADD CONSTRAINT `verification_codes_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;
