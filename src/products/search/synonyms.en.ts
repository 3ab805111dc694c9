/** Words that shops and their customers use for each other in English, whatever is sold. A shop adds its own. */
const GROUPS: string[] = [
  "cell phone, cellphone, cellular phone, mobile phone, smartphone, smart phone, handset",
  "tv, television",
  "laptop, notebook computer",
  "fridge, refrigerator",
  "couch, sofa",
  "earbuds, earphones, headphones, headset",
  "power bank, powerbank, portable charger, external battery",
  "memory card, sd card, flash card",
  "usb stick, flash drive, thumb drive",
  "vacuum cleaner, hoover",
  "trousers, pants",
  "sneakers, trainers, running shoes",
  "jumper, sweater, pullover",
  "t-shirt, tee",
  "trash can, dustbin, garbage can",
  "stroller, pushchair, buggy",
  "diaper, nappy",
  "torch, flashlight",
  "car, vehicle, automobile",
  "bicycle, bike",
  "mount, holder, cradle",
  "strap, band",
  "cover, case",
  "refurbished, renewed, reconditioned",
  "wifi, wi-fi, wireless lan",
  "auto, automatic",
];

export { GROUPS };

import { wordsOf } from "./text";

const groups = GROUPS.map((g) => g.split(", ").map((t) => wordsOf(t).map((w) => w.surface)));
export const DEFAULT_SYNONYMS = (words: string[]) => {
  const found: { from: number; length: number; to: string }[] = [];
  for (const group of groups)
    for (const member of group)
      for (let from = 0; from + member.length <= words.length; from++)
        if (member.every((w, i) => words[from + i] === w || words[from + i] === `${w}s`))
          for (const other of group)
            if (other !== member) found.push({ from, length: member.length, to: other.join(" ") });
  return found;
};
