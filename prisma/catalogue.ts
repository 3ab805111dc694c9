/** The project's own small catalogue for development: twelve categories of a household shop. */

/** One product of the catalogue: `price` in cents of the first variant, options of one name. */
export interface CatalogueProduct {
  name: string;
  description: string;
  brand: string;
  price: number;
  /** Names of variants and what each costs more, in cents. */
  variants?: { name: string; option: string; more?: number }[];
}

export interface CatalogueCategory {
  path: string[];
  /** Hue of the generated pictures, in degrees. */
  hue: number;
  products: CatalogueProduct[];
}

const sizes = ["Small", "Medium", "Large"].map((name, index) => ({
  name,
  option: "Size",
  more: index * 300,
}));
const colours = (...names: string[]) => names.map((name) => ({ name, option: "Colour" }));

export const CATALOGUE: CatalogueCategory[] = [
  {
    path: ["Kitchen", "Cookware"],
    hue: 12,
    products: [
      {
        name: "Cast-iron skillet",
        description: "Heavy pan that browns evenly and lasts for generations.",
        brand: "Herdfeuer",
        price: 3900,
        variants: sizes,
      },
      {
        name: "Steel saucepan",
        description: "Three-layer base, lid with a steam vent, measures inside.",
        brand: "Herdfeuer",
        price: 4500,
        variants: sizes,
      },
      {
        name: "Enamel casserole",
        description: "From the hob to the oven to the table.",
        brand: "Marais",
        price: 8900,
        variants: colours("Cream", "Forest"),
      },
      {
        name: "Carbon-steel wok",
        description: "Thin, hot and light, with a flat base.",
        brand: "Long Bay",
        price: 5200,
      },
      {
        name: "Copper milk pan",
        description: "Small pan that answers to the flame at once.",
        brand: "Marais",
        price: 6400,
      },
    ],
  },
  {
    path: ["Kitchen", "Knives"],
    hue: 210,
    products: [
      {
        name: "Chef's knife",
        description: "Twenty centimetres of forged steel.",
        brand: "Tanto",
        price: 7900,
      },
      {
        name: "Paring knife",
        description: "For everything too small for the big one.",
        brand: "Tanto",
        price: 2900,
      },
      {
        name: "Bread knife",
        description: "A long serrated blade that does not crush.",
        brand: "Tanto",
        price: 4900,
      },
      { name: "Whetstone", description: "Two sides, grit 1000 and 6000.", brand: "Tanto", price: 3900 },
      {
        name: "Oak knife block",
        description: "Holds six knives and your scissors.",
        brand: "Lund",
        price: 5900,
      },
    ],
  },
  {
    path: ["Kitchen", "Coffee"],
    hue: 28,
    products: [
      {
        name: "Pour-over dripper",
        description: "Porcelain cone for one to four cups.",
        brand: "Mokka",
        price: 2400,
        variants: colours("White", "Black"),
      },
      {
        name: "Hand grinder",
        description: "Steel burrs, thirty grams, forty steps.",
        brand: "Mokka",
        price: 8900,
      },
      { name: "French press", description: "Double wall keeps a litre hot.", brand: "Mokka", price: 4200 },
      {
        name: "Gooseneck kettle",
        description: "Pours a thin stream where you want it.",
        brand: "Mokka",
        price: 6900,
      },
      { name: "Espresso cups", description: "Four cups with saucers.", brand: "Marais", price: 3200 },
    ],
  },
  {
    path: ["Living", "Lamps"],
    hue: 48,
    products: [
      {
        name: "Reading lamp",
        description: "Warm light on a jointed arm.",
        brand: "Lund",
        price: 6900,
        variants: colours("Brass", "Black", "White"),
      },
      {
        name: "Paper lantern",
        description: "Soft light, folds flat.",
        brand: "Long Bay",
        price: 1900,
        variants: sizes,
      },
      { name: "Desk lamp", description: "Dims by touch and remembers.", brand: "Lund", price: 5400 },
      { name: "Floor lamp", description: "Oak stand with a linen shade.", brand: "Lund", price: 14900 },
      { name: "Night light", description: "Wakes when you do, stays dim.", brand: "Pip", price: 1500 },
    ],
  },
  {
    path: ["Living", "Textiles"],
    hue: 340,
    products: [
      {
        name: "Wool throw",
        description: "Woven from undyed wool.",
        brand: "Fjell",
        price: 7900,
        variants: colours("Grey", "Oat"),
      },
      {
        name: "Linen cushion",
        description: "Washed linen with a hidden zip.",
        brand: "Marais",
        price: 2900,
        variants: colours("Rust", "Sage", "Ink"),
      },
      {
        name: "Cotton rug",
        description: "Flat woven, both sides good.",
        brand: "Fjell",
        price: 8900,
        variants: sizes,
      },
      {
        name: "Blackout curtain",
        description: "Keeps light out and warmth in.",
        brand: "Fjell",
        price: 4900,
      },
      {
        name: "Quilted bedspread",
        description: "Light in summer, a layer in winter.",
        brand: "Marais",
        price: 11900,
      },
    ],
  },
  {
    path: ["Living", "Shelves"],
    hue: 32,
    products: [
      {
        name: "Oak wall shelf",
        description: "Solid oak with hidden brackets.",
        brand: "Lund",
        price: 5900,
        variants: sizes,
      },
      { name: "Ladder shelf", description: "Five steps for books and plants.", brand: "Lund", price: 12900 },
      { name: "Shoe bench", description: "Sit on it, put eight pairs in it.", brand: "Lund", price: 9900 },
      { name: "Coat hooks", description: "Five hooks of cast iron.", brand: "Herdfeuer", price: 2400 },
      { name: "Magazine rack", description: "Steel wire, folds away.", brand: "Pip", price: 2900 },
    ],
  },
  {
    path: ["Garden", "Tools"],
    hue: 130,
    products: [
      {
        name: "Pruning shears",
        description: "Sharp, light, and you can replace the blade.",
        brand: "Ackermann",
        price: 3400,
      },
      { name: "Hand trowel", description: "Ash handle, forged blade.", brand: "Ackermann", price: 1900 },
      {
        name: "Watering can",
        description: "Nine litres with a brass rose.",
        brand: "Ackermann",
        price: 3900,
        variants: colours("Zinc", "Green"),
      },
      {
        name: "Garden gloves",
        description: "Goatskin that stays soft.",
        brand: "Ackermann",
        price: 2200,
        variants: sizes.map(({ name, option }) => ({ name, option })),
      },
      {
        name: "Folding saw",
        description: "Cuts on the pull, folds into its handle.",
        brand: "Tanto",
        price: 4200,
      },
    ],
  },
  {
    path: ["Garden", "Pots"],
    hue: 16,
    products: [
      {
        name: "Terracotta pot",
        description: "Breathes, and ages well.",
        brand: "Siena",
        price: 1200,
        variants: sizes,
      },
      { name: "Hanging planter", description: "Cotton rope and a glazed bowl.", brand: "Siena", price: 2400 },
      {
        name: "Herb trough",
        description: "Room for basil, thyme and one more.",
        brand: "Siena",
        price: 2900,
      },
      { name: "Seed tray", description: "Twenty cells with a lid.", brand: "Ackermann", price: 900 },
      { name: "Balcony box", description: "Holds water for a week.", brand: "Siena", price: 3400 },
    ],
  },
  {
    path: ["Bath", "Towels"],
    hue: 190,
    products: [
      {
        name: "Bath towel",
        description: "Long-staple cotton, 500 grams a square metre.",
        brand: "Marais",
        price: 2900,
        variants: colours("White", "Sand", "Petrol"),
      },
      {
        name: "Hand towel",
        description: "The small one of the same weave.",
        brand: "Marais",
        price: 1200,
        variants: colours("White", "Sand", "Petrol"),
      },
      {
        name: "Waffle robe",
        description: "Light, dries fast, has pockets.",
        brand: "Marais",
        price: 6900,
        variants: sizes,
      },
      { name: "Bath mat", description: "Thick loops and a rubber back.", brand: "Marais", price: 2400 },
      { name: "Hammam cloth", description: "A towel that fits into a pocket.", brand: "Siena", price: 1900 },
    ],
  },
  {
    path: ["Bath", "Care"],
    hue: 270,
    products: [
      { name: "Olive soap", description: "Cured for nine months.", brand: "Siena", price: 600 },
      { name: "Bath brush", description: "Beech and natural bristle.", brand: "Lund", price: 1800 },
      { name: "Shaving set", description: "Brush, bowl and stand.", brand: "Herdfeuer", price: 7900 },
      { name: "Soap dish", description: "Drains, so that soap lasts.", brand: "Pip", price: 1100 },
      { name: "Sea salt scrub", description: "Salt, oil and a little orange.", brand: "Siena", price: 1600 },
    ],
  },
  {
    path: ["Office", "Paper"],
    hue: 220,
    products: [
      {
        name: "Dotted notebook",
        description: "Opens flat, numbered pages.",
        brand: "Pip",
        price: 1800,
        variants: colours("Black", "Red", "Blue"),
      },
      {
        name: "Letter paper",
        description: "Fifty sheets that ink does not bleed through.",
        brand: "Pip",
        price: 1400,
      },
      { name: "Wall calendar", description: "One large sheet for a whole year.", brand: "Pip", price: 2200 },
      { name: "Sketchbook", description: "Heavy paper for pencil and wash.", brand: "Pip", price: 2100 },
      { name: "Index cards", description: "Two hundred cards, plain.", brand: "Pip", price: 700 },
    ],
  },
  {
    path: ["Office", "Desk"],
    hue: 160,
    products: [
      {
        name: "Fountain pen",
        description: "Steel nib, refills by piston.",
        brand: "Tanto",
        price: 5900,
        variants: [
          { name: "Fine", option: "Nib" },
          { name: "Medium", option: "Nib" },
        ],
      },
      { name: "Cork board", description: "Thick cork in an oak frame.", brand: "Lund", price: 3400 },
      {
        name: "Monitor stand",
        description: "Bent oak, room for a keyboard below.",
        brand: "Lund",
        price: 7900,
      },
      { name: "Cable tray", description: "Gets them off the floor.", brand: "Pip", price: 2900 },
      {
        name: "Felt desk mat",
        description: "Wool felt, warm under the wrists.",
        brand: "Fjell",
        price: 3900,
        variants: colours("Grey", "Green"),
      },
    ],
  },
];
