/**
 * Text of at most so many characters, counted as the schemas count them. Mongoose's `maxlength` counts UTF-16 units,
 * which are two for a character such as 𠀀.
 */
export const atMost = (max: number) => ({
  validator: (text: string | null) => text === null || text.length <= max || [...text].length <= max,
  message: `must be at most ${max} characters`,
  type: "maxlength",
});
