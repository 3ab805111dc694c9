-- AlterTable
ALTER TABLE `email_changes` ADD COLUMN `auth_epoch` INTEGER NOT NULL;
