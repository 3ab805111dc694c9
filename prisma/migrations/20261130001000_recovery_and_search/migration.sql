-- AlterTable
ALTER TABLE `email_changes` ADD COLUMN `effective_at` DATETIME(3) NULL;

-- CreateIndex
CREATE INDEX `api_keys_expires_at_idx` ON `api_keys`(`expires_at`);

-- AlterTable
ALTER TABLE `users` ADD COLUMN `words_form` INTEGER NOT NULL DEFAULT 0;

-- CreateIndex
CREATE INDEX `users_words_form_id_idx` ON `users`(`words_form`, `id`);

-- CreateTable
CREATE TABLE `user_words` (
    `word` VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    `user_id` CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,

    INDEX `user_words_user_id_word_idx`(`user_id`, `word`),
    PRIMARY KEY (`word`, `user_id`)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;

-- AddForeignKey
ALTER TABLE `user_words` ADD CONSTRAINT `user_words_user_id_fkey` FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON DELETE CASCADE ON UPDATE CASCADE;
