import { AppError } from "../lib/errors";

export const noProduct = () => new AppError("not_found", "There is no such product.");
