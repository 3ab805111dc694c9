/**
 * What people would type at a shop for phones and their accessories, and which products they would want. A rule says
 * which products answer a query and how well: 3 what was asked for, 2 close to it, 1 of some use. Rules look at names,
 * brands and categories, never at what any engine finds. `why` says what a person means by the words.
 */

/** A product of the judged catalogue. */
export interface JudgedProduct {
  name: string;
  brand: string;
  categories: string[];
  popularity: number;
}

type Test = (product: JudgedProduct) => boolean;
type Grades = [grade: 1 | 2 | 3, test: Test][];

export const PARTS = [
  "plain",
  "typo",
  "model",
  "brand",
  "device",
  "plural",
  "phrase",
  "synonym",
  "none",
] as const;
export type Part = (typeof PARTS)[number];

export interface Judgement {
  query: string;
  part: Part;
  why: string;
  /** The first test that holds gives the grade; none of them, 0. */
  grades: Grades;
}

const named =
  (pattern: RegExp): Test =>
  ({ name }) =>
    pattern.test(name);
const filed =
  (pattern: RegExp): Test =>
  ({ categories }) =>
    categories.slice(1).some((category) => pattern.test(category));
const by =
  (pattern: RegExp): Test =>
  ({ brand, name }) =>
    pattern.test(brand) || pattern.test(name.split(" - ")[0] ?? "");
const all =
  (...tests: Test[]): Test =>
  (product) =>
    tests.every((test) => test(product));
const any =
  (...tests: Test[]): Test =>
  (product) =>
    tests.some((test) => test(product));
const not =
  (test: Test): Test =>
  (product) =>
    !test(product);

// What a product is.
const accessory = filed(/Accessor/);
const phone = all(not(accessory), not(named(/broadband|hotspot|charging station|SIM card|\bcase\b/i)));
const aCase = any(filed(/Cases/), named(/\b(case|cover|shell|sleeve|folio|pouch|holster|bumper)\b/i));
const protector = named(/screen protector|invisibleshield|tempered glass/i);
const portable = named(
  /portable charger|power ?(bank|pack|station|reserve|core)|external battery|battery pack/i,
);
const carCharger = named(/(vehicle|car) charger/i);
const wallCharger = named(/wall charger|travel charger|AC adapter|power adapter/i);
const wireless = named(/wireless charg|charging pad|Qi /i);
const cable = all(named(/cable/i), not(portable), not(carCharger), not(wallCharger));
const band = all(
  named(/\b(band|strap|bracelet)\b/i),
  any(filed(/Watch|Smartwatch/i), named(/watch|gear|fitbit|moto 360|pebble/i)),
);
const mount = named(/\b(mount|vent|dash|holder|cradle)\b/i);
const headset = named(/headset|headphone|earbud|earphone/i);
const stick = named(/selfie/i);
const lens = named(/\blens(es)?\b/i);
const tracker = any(filed(/Tracker/), named(/tracker|tracking device|item finder/i));
const battery = all(any(filed(/Internal Batter/), named(/\bbattery\b/i)), not(aCase), not(portable));
const airtime = any(filed(/Prepaid Minutes/), named(/airtime|refill card|top-?up|phone card/i));
const sim = named(/\bSIM\b/);
const booster = named(/booster/i);
const armband = named(/armband/i);
const hotspot = named(/hotspot|mifi|jetpack/i);
const wallet = all(aCase, named(/wallet|folio/i));
const prepaid = all(phone, any(filed(/Prepaid/), named(/prepaid|no-contract/i)));
const unlocked = all(phone, any(filed(/Unlocked/), named(/unlocked/i)));
const refurbished = all(phone, any(filed(/Refurbished/), named(/refurbished/i)));

// What a product is, or is made for.
const i7 = named(/iPhone.*\b7\b/i);
const i7plus = named(/iPhone.*\b7 Plus/i);
const i6 = named(/iPhone.*\b6\b/i);
const i6s = named(/iPhone.*\b6s\b/i);
const iSE = named(/iPhone®? (SE|5, 5s and SE)|\bSE\b/);
const i5 = named(/iPhone®? (5|SE, 5s and 5)\b/i);
const s7 = named(/Galaxy S7\b/i);
const s7edge = named(/Galaxy S7 edge/i);
const s6 = named(/Galaxy S6\b/i);
const note = (n: number) => named(new RegExp(`Galaxy Note ?${n}\\b`, "i"));
const iphone = named(/iphone/i);

const plain: [query: string, why: string, grades: Grades][] = [
  ["screen protector", "a foil or glass for any screen", [[3, protector]]],
  [
    "car charger",
    "a charger for the car's socket",
    [
      [3, carCharger],
      [1, all(filed(/Car/), named(/charg/i))],
    ],
  ],
  ["portable charger", "a battery to carry along", [[3, portable]]],
  [
    "wall charger",
    "a charger for a wall socket",
    [
      [3, wallCharger],
      [1, named(/charger/i)],
    ],
  ],
  [
    "wireless charger",
    "charging without a cable",
    [
      [3, all(wireless, named(/charg/i), not(carCharger))],
      [1, wireless],
    ],
  ],
  [
    "micro usb cable",
    "a cable with that plug",
    [
      [3, all(cable, named(/micro.?usb/i))],
      [1, cable],
    ],
  ],
  [
    "lightning cable",
    "a cable for Apple's socket",
    [
      [3, all(cable, named(/lightning/i))],
      [1, cable],
    ],
  ],
  [
    "usb type c cable",
    "a cable with that plug",
    [
      [3, all(cable, named(/(type|usb).?c\b/i))],
      [1, cable],
    ],
  ],
  [
    "selfie stick",
    "a stick to hold a phone",
    [
      [3, all(stick, named(/stick|monopod/i))],
      [1, stick],
    ],
  ],
  [
    "car mount",
    "a holder in the car",
    [
      [3, all(mount, any(filed(/Mount|Car/), named(/car|vehicle|dash|vent|windshield/i)))],
      [1, mount],
    ],
  ],
  [
    "bluetooth headset",
    "a headset without a cable",
    [
      [3, all(headset, any(named(/bluetooth|wireless/i), filed(/Bluetooth/)))],
      [1, headset],
    ],
  ],
  ["prepaid phone", "a phone without a contract", [[3, prepaid]]],
  ["unlocked phone", "a phone for any network", [[3, unlocked]]],
  [
    "refurbished iphone",
    "a used iPhone that was renewed",
    [
      [3, all(refurbished, iphone)],
      [1, all(phone, iphone)],
    ],
  ],
  ["watch band", "a band for a smart watch", [[3, band]]],
  ["smart tracker", "a tag to find things by", [[3, tracker]]],
  ["sim card", "a card for a network", [[3, sim]]],
  ["signal booster", "better reception", [[3, booster]]],
  ["mobile hotspot", "a router to carry along", [[3, hotspot]]],
  [
    "wallet case",
    "a case that holds cards",
    [
      [3, all(aCase, named(/wallet/i))],
      [1, wallet],
    ],
  ],
  ["leather case", "a case of leather", [[3, all(aCase, named(/leather/i))]]],
  [
    "waterproof case",
    "a case for swimming",
    [
      [3, all(aCase, named(/waterproof/i))],
      [1, all(aCase, named(/LifeProof/))],
    ],
  ],
  [
    "iphone 7 case",
    "a case for that phone",
    [
      [3, all(aCase, i7, not(i7plus))],
      [2, all(aCase, i7)],
    ],
  ],
  [
    "iphone 7 plus case",
    "a case for the large one",
    [
      [3, all(aCase, i7plus)],
      [1, all(aCase, i7)],
    ],
  ],
  [
    "iphone 6s case",
    "a case for that phone",
    [
      [3, all(aCase, i6s, not(named(/plus/i)))],
      [2, all(aCase, i6s)],
      [1, all(aCase, i6)],
    ],
  ],
  [
    "galaxy s7 case",
    "a case for that phone",
    [
      [3, all(aCase, s7, not(s7edge))],
      [2, all(aCase, s7)],
    ],
  ],
  [
    "galaxy s7 edge case",
    "a case for that phone",
    [
      [3, all(aCase, s7edge)],
      [1, all(aCase, s7)],
    ],
  ],
  [
    "iphone 7 screen protector",
    "a foil for that phone",
    [
      [3, all(protector, i7, not(i7plus))],
      [2, all(protector, i7)],
    ],
  ],
  [
    "galaxy s6 screen protector",
    "a foil for that phone",
    [
      [3, all(protector, s6, not(named(/edge/i)))],
      [2, all(protector, s6)],
    ],
  ],
  [
    "iphone 6 armband",
    "for running",
    [
      [3, all(armband, i6)],
      [2, armband],
    ],
  ],
  ["camera lens", "a lens to put on a phone", [[3, lens]]],
  ["phone card", "minutes to load", [[3, airtime]]],
  ["power bank", "a battery to carry along; many are called portable charger", [[3, portable]]],
  [
    "charging dock",
    "a stand that charges",
    [[3, all(named(/dock|stand|station/i), named(/charg|power|dock/i))]],
  ],
  [
    "rugged case",
    "a case that takes falls",
    [[3, all(aCase, named(/rugged|defender|survivor|armor|tough|protect/i))]],
  ],
  ["virtual reality headset", "goggles", [[3, named(/virtual reality|\bVR\b/i)]]],
  [
    "black iphone 7 case",
    "a case of that colour for that phone",
    [
      [3, all(aCase, i7, not(i7plus), named(/black/i))],
      [2, all(aCase, i7, named(/black/i))],
      [1, all(aCase, i7)],
    ],
  ],
  [
    "rose gold iphone 6s",
    "that phone of that colour",
    [
      [3, all(phone, i6s, named(/rose gold/i))],
      [1, any(all(phone, i6s), all(i6s, named(/rose gold/i)))],
    ],
  ],
  [
    "pink lightning cable",
    "a cable of that colour",
    [
      [3, all(cable, named(/lightning/i), named(/pink/i))],
      [1, all(cable, named(/lightning/i))],
    ],
  ],
  [
    "apple watch 42mm band",
    "a band of that size",
    [
      [3, all(band, named(/apple watch/i), named(/42 ?mm/i))],
      [1, all(band, named(/apple watch/i))],
    ],
  ],
  [
    "clear case iphone 6",
    "a case to see through",
    [
      [3, all(aCase, i6, named(/clear|transparent/i))],
      [1, all(aCase, i6)],
    ],
  ],
  ["replacement battery", "a battery to put in", [[3, battery]]],
  ["travel adapter", "for foreign sockets", [[3, named(/adapter/i)]]],
];

const typo: [query: string, why: string, grades: Grades][] = [
  ["scren protector", "a letter left out", [[3, protector]]],
  ["screen protecter", "a letter changed", [[3, protector]]],
  ["screan protector", "a letter changed", [[3, protector]]],
  ["portabel charger", "two letters swapped", [[3, portable]]],
  ["portable chager", "a letter left out", [[3, portable]]],
  ["porteble charger", "a letter changed", [[3, portable]]],
  [
    "samsng galaxy s7",
    "a letter left out",
    [
      [3, all(phone, s7, not(named(/edge|active/i)))],
      [2, all(phone, s7)],
      [1, s7],
    ],
  ],
  [
    "samsung glaxy s7",
    "two letters swapped",
    [
      [3, all(phone, s7, not(named(/edge|active/i)))],
      [2, all(phone, s7)],
      [1, s7],
    ],
  ],
  [
    "iphnoe 7",
    "two letters swapped",
    [
      [3, all(phone, i7, not(i7plus))],
      [2, all(phone, i7)],
      [1, i7],
    ],
  ],
  [
    "iphon 7 plus",
    "a letter left out",
    [
      [3, all(phone, i7plus)],
      [1, i7plus],
    ],
  ],
  [
    "ipohne 6s case",
    "two letters swapped",
    [
      [3, all(aCase, i6s, not(named(/plus/i)))],
      [2, all(aCase, i6s)],
      [1, all(aCase, i6)],
    ],
  ],
  ["otterbx iphone 7", "a letter left out", [[3, all(by(/otterbox/i), i7)]]],
  ["oterbox galaxy s7", "a letter left out", [[3, all(by(/otterbox/i), s7)]]],
  ["incipo case", "a letter left out", [[3, all(by(/incipio/i), aCase)]]],
  ["motorla phone", "a letter left out", [[3, all(phone, by(/motorola/i))]]],
  ["hauwei phone", "two letters swapped", [[3, all(phone, by(/huawei/i))]]],
  [
    "lightening cable",
    "a letter too many",
    [
      [3, all(cable, named(/lightning/i))],
      [1, cable],
    ],
  ],
  [
    "lightnig cable",
    "a letter left out",
    [
      [3, all(cable, named(/lightning/i))],
      [1, cable],
    ],
  ],
  [
    "bluetoth headset",
    "a letter left out",
    [
      [3, all(headset, any(named(/bluetooth|wireless/i), filed(/Bluetooth/)))],
      [1, headset],
    ],
  ],
  [
    "blutooth headset",
    "a letter left out",
    [
      [3, all(headset, any(named(/bluetooth|wireless/i), filed(/Bluetooth/)))],
      [1, headset],
    ],
  ],
  [
    "wireles charger",
    "a letter left out",
    [
      [3, all(wireless, named(/charg/i), not(carCharger))],
      [1, wireless],
    ],
  ],
  [
    "wirelss charger",
    "a letter left out",
    [
      [3, all(wireless, named(/charg/i), not(carCharger))],
      [1, wireless],
    ],
  ],
  ["unlokced phone", "two letters swapped", [[3, unlocked]]],
  ["prepiad phone", "two letters swapped", [[3, prepaid]]],
  [
    "refurbised iphone",
    "a letter left out",
    [
      [3, all(refurbished, iphone)],
      [1, all(phone, iphone)],
    ],
  ],
  [
    "selfi stick",
    "a letter left out",
    [
      [3, all(stick, named(/stick|monopod/i))],
      [1, stick],
    ],
  ],
  ["leahter case", "two letters swapped", [[3, all(aCase, named(/leather/i))]]],
  [
    "walet case",
    "a letter left out",
    [
      [3, all(aCase, named(/wallet/i))],
      [1, wallet],
    ],
  ],
  [
    "waterprof case",
    "a letter left out",
    [
      [3, all(aCase, named(/waterproof/i))],
      [1, all(aCase, named(/LifeProof/))],
    ],
  ],
  ["mophe juice pack", "a letter left out", [[3, all(by(/mophie/i), named(/juice pack/i))]]],
  ["spigan case", "a letter changed", [[3, all(by(/spigen/i), aCase)]]],
  [
    "vehicel charger",
    "two letters swapped",
    [
      [3, carCharger],
      [1, all(filed(/Car/), named(/charg/i))],
    ],
  ],
  ["smart traker", "a letter left out", [[3, tracker]]],
  [
    "iphone 7 caes",
    "two letters swapped",
    [
      [3, all(aCase, i7, not(i7plus))],
      [2, all(aCase, i7)],
      [1, i7],
    ],
  ],
  [
    "galxy note 5 case",
    "a letter left out",
    [
      [3, all(aCase, note(5))],
      [1, all(aCase, named(/note/i))],
    ],
  ],
  ["kate spaed case", "two letters swapped", [[3, all(by(/kate spade/i), aCase)]]],
];

const model: [query: string, why: string, grades: Grades][] = [
  [
    "iphone7",
    "written as one",
    [
      [3, all(phone, i7, not(i7plus))],
      [2, all(phone, i7)],
      [1, i7],
    ],
  ],
  [
    "iphone 6s 64gb",
    "that phone with that memory",
    [
      [3, all(phone, i6s, named(/64 ?GB/i))],
      [1, all(phone, i6s)],
    ],
  ],
  [
    "iphone 7 128 gb",
    "memory written as two words",
    [
      [3, all(phone, i7, named(/128 ?GB/i))],
      [1, all(phone, i7)],
    ],
  ],
  [
    "iphone 7 32gb sprint",
    "that phone for that network",
    [
      [3, all(phone, i7, named(/32 ?GB/i), named(/sprint/i))],
      [2, all(phone, i7, named(/sprint/i))],
      [1, all(phone, i7)],
    ],
  ],
  ["10000 mah", "that capacity; names write 10,000", [[3, named(/10,?000 ?mAh/i)]]],
  ["10000mah", "the same as one word", [[3, named(/10,?000 ?mAh/i)]]],
  [
    "5200mah portable charger",
    "that capacity",
    [
      [3, named(/5,?200 ?mAh/i)],
      [1, portable],
    ],
  ],
  [
    "4000 mah portable charger",
    "that capacity",
    [
      [3, all(portable, named(/\b4,?000 ?mAh/i))],
      [1, portable],
    ],
  ],
  [
    "microusb cable",
    "written as one",
    [
      [3, all(cable, named(/micro.?usb/i))],
      [1, cable],
    ],
  ],
  ["t276t", "the model's number", [[3, named(/T276T/)]]],
  ["lg b470", "the model's number", [[3, named(/B470/)]]],
  ["lgb470", "maker and number as one", [[3, named(/B470/)]]],
  ["zte z432", "the model's number", [[3, named(/Z432/)]]],
  ["blackberry 9810", "the model's number", [[3, named(/9810/)]]],
  ["mifi 5510l", "the model's number", [[3, named(/5510L/)]]],
  ["5510l", "the number alone", [[3, named(/5510L/)]]],
  [
    "powerpack t2600",
    "the model's number",
    [
      [3, named(/T2600/)],
      [1, all(by(/PNY/), portable)],
    ],
  ],
  [
    "samsung j3",
    "the model without its family",
    [
      [3, all(phone, named(/Galaxy J3/i))],
      [1, named(/J3/)],
    ],
  ],
  [
    "galaxy j7",
    "the model",
    [
      [3, all(phone, named(/Galaxy J7/i))],
      [1, named(/J7/)],
    ],
  ],
  [
    "galaxys7",
    "written as one",
    [
      [3, all(phone, s7, not(named(/edge|active/i)))],
      [2, all(phone, s7)],
      [1, s7],
    ],
  ],
  [
    "moto g4 play",
    "the model",
    [
      [3, all(phone, named(/g4 play/i))],
      [1, named(/G4/i)],
    ],
  ],
  [
    "g4play",
    "written as one",
    [
      [3, all(phone, named(/g4 play/i))],
      [1, named(/G4/i)],
    ],
  ],
  [
    "lg g5",
    "the model",
    [
      [3, all(phone, named(/\bG5\b/))],
      [1, named(/\bG5\b/)],
    ],
  ],
  [
    "lg v20",
    "the model",
    [
      [3, all(phone, named(/\bV20\b/))],
      [1, named(/\bV20\b/)],
    ],
  ],
  [
    "xperia z5",
    "the model",
    [
      [3, all(phone, named(/Z5/))],
      [1, named(/Z5/)],
    ],
  ],
  [
    "honor 6x",
    "the model",
    [
      [3, all(phone, named(/Honor 6X/i))],
      [1, named(/Honor 6X/i)],
    ],
  ],
  [
    "nexus 6p",
    "the model",
    [
      [3, all(phone, named(/Nexus 6P/i))],
      [1, named(/Nexus 6P/i)],
    ],
  ],
  [
    "zenfone 3 max",
    "the model",
    [
      [3, all(phone, named(/ZenFone 3 Max/i))],
      [1, named(/ZenFone/i)],
    ],
  ],
  ["galaxy note5 case", "names write Note 5 or Note5", [[3, all(aCase, note(5))]]],
  [
    "3.5mm cable",
    "that plug",
    [
      [3, all(named(/3\.5 ?mm/i), named(/cable|cord/i))],
      [1, named(/3\.5 ?mm/i)],
    ],
  ],
  [
    "galaxy s7 32gb",
    "that phone with that memory",
    [
      [3, all(phone, s7, named(/32GB/), not(named(/edge|active/i)))],
      [2, all(phone, s7)],
    ],
  ],
];

const brand: [query: string, why: string, grades: Grades][] = [
  ["samsung phone", "a phone of that make, whoever sells it", [[3, all(phone, named(/samsung/i))]]],
  ["lg phone", "a phone of that make", [[3, all(phone, named(/\bLG\b/))]]],
  ["blu phone", "a phone of that make", [[3, all(phone, by(/^BLU/))]]],
  ["htc phone", "a phone of that make", [[3, all(phone, named(/\bHTC\b/))]]],
  ["sony phone", "a phone of that make", [[3, all(phone, by(/sony/i))]]],
  ["blackberry phone", "a phone of that make", [[3, all(phone, named(/blackberry/i))]]],
  ["otterbox case", "a case of that make", [[3, all(by(/otterbox/i), aCase)]]],
  [
    "speck case iphone 6",
    "a case of that make for that phone",
    [
      [3, all(by(/speck/i), aCase, i6)],
      [1, all(by(/speck/i), aCase)],
    ],
  ],
  [
    "lifeproof iphone 6s",
    "of that make for that phone",
    [
      [3, all(by(/lifeproof/i), i6s)],
      [1, by(/lifeproof/i)],
    ],
  ],
  [
    "mophie battery case",
    "a case that charges",
    [
      [3, all(by(/mophie/i), named(/juice|battery|charg/i), named(/case|pack/i))],
      [1, by(/mophie/i)],
    ],
  ],
  ["insignia cable", "a cable of that make", [[3, all(by(/insignia/i), cable)]]],
  [
    "belkin charger",
    "a charger of that make",
    [
      [3, all(by(/belkin/i), named(/charger/i))],
      [1, all(by(/belkin/i), named(/charg/i))],
    ],
  ],
  ["zagg iphone 7 plus", "of that make for that phone", [[3, all(by(/zagg/i), i7plus)]]],
  [
    "samsung wireless charger",
    "a charger of that make",
    [
      [3, all(by(/samsung/i), wireless)],
      [1, wireless],
    ],
  ],
  [
    "apple lightning cable",
    "a cable of that make",
    [
      [3, all(by(/^apple/i), cable, named(/lightning/i))],
      [1, all(cable, named(/lightning/i))],
    ],
  ],
  ["kate spade iphone 7", "of that make for that phone", [[3, all(by(/kate spade/i), i7)]]],
  ["case-mate case", "a case of that make, whose name holds the word", [[3, all(by(/case-mate/i), aCase)]]],
  ["urban armor gear iphone 6", "of that make for that phone", [[3, all(by(/urban armor/i), i6)]]],
  ["fitbit band", "a band for that maker's watches", [[3, all(band, named(/fitbit/i))]]],
  [
    "at&t phone",
    "a phone for that network",
    [
      [3, all(phone, named(/AT&T/))],
      [1, named(/AT&T/)],
    ],
  ],
  ["boost mobile phone", "a phone for that network", [[3, all(phone, by(/boost/i))]]],
  ["olloclip lens", "lenses of that make", [[3, all(by(/olloclip/i), lens)]]],
];

const device: [query: string, why: string, grades: Grades][] = [
  [
    "iphone",
    "the phone itself, not what goes with it",
    [
      [3, all(phone, iphone)],
      [1, iphone],
    ],
  ],
  [
    "iphone 7",
    "the phone itself",
    [
      [3, all(phone, i7, not(i7plus))],
      [2, all(phone, i7)],
      [1, i7],
    ],
  ],
  [
    "iphone 7 plus",
    "the phone itself",
    [
      [3, all(phone, i7plus)],
      [1, i7plus],
    ],
  ],
  [
    "iphone 6s",
    "the phone itself",
    [
      [3, all(phone, i6s, not(named(/plus/i)))],
      [2, all(phone, i6s)],
      [1, i6s],
    ],
  ],
  [
    "iphone 6s plus",
    "the phone itself",
    [
      [3, all(phone, i6s, named(/plus/i))],
      [1, all(i6s, named(/plus/i))],
    ],
  ],
  [
    "iphone se",
    "the phone itself",
    [
      [3, all(phone, iSE)],
      [1, all(iphone, iSE)],
    ],
  ],
  [
    "iphone 6",
    "the phone itself",
    [
      [3, all(phone, i6, not(named(/plus/i)))],
      [2, all(phone, i6)],
      [1, any(i6, all(phone, i6s))],
    ],
  ],
  [
    "iphone 5",
    "the phone itself",
    [
      [3, all(phone, named(/iPhone 5/i))],
      [1, i5],
    ],
  ],
  [
    "galaxy s7",
    "the phone itself",
    [
      [3, all(phone, s7, not(named(/edge|active/i)))],
      [2, all(phone, s7)],
      [1, s7],
    ],
  ],
  [
    "galaxy s7 edge",
    "the phone itself",
    [
      [3, all(phone, s7edge)],
      [1, s7edge],
    ],
  ],
  [
    "galaxy s6",
    "the phone itself",
    [
      [3, all(phone, s6, not(named(/edge|active/i)))],
      [2, all(phone, s6)],
      [1, s6],
    ],
  ],
  [
    "galaxy s5",
    "the phone itself",
    [
      [3, all(phone, named(/Galaxy S ?5\b/i))],
      [1, named(/Galaxy S ?5\b/i)],
    ],
  ],
  [
    "samsung galaxy",
    "the phones themselves",
    [
      [3, all(phone, named(/galaxy/i))],
      [1, named(/galaxy/i)],
    ],
  ],
  [
    "galaxy s4",
    "the phone itself",
    [
      [3, all(phone, named(/Galaxy S ?4\b/i))],
      [1, named(/Galaxy S ?4\b/i)],
    ],
  ],
  [
    "htc one",
    "the phone itself",
    [
      [3, all(phone, named(/HTC/), named(/\bone\b/i))],
      [1, named(/HTC One/i)],
    ],
  ],
  [
    "google pixel",
    "the phone itself",
    [
      [3, all(phone, named(/pixel/i))],
      [1, named(/pixel/i)],
    ],
  ],
  [
    "moto x",
    "the phone itself",
    [
      [3, all(phone, named(/moto x/i))],
      [1, named(/moto x/i)],
    ],
  ],
  [
    "lg g4",
    "the phone itself",
    [
      [3, all(phone, named(/\bG4\b/), named(/\bLG\b/))],
      [1, named(/\bG4\b/)],
    ],
  ],
  [
    "lg stylo",
    "the phone itself",
    [
      [3, all(phone, named(/stylo/i))],
      [1, named(/stylo/i)],
    ],
  ],
  [
    "nexus 6",
    "the phone itself",
    [
      [3, all(phone, named(/Nexus 6\b/i))],
      [2, all(phone, named(/nexus/i))],
      [1, named(/nexus 6/i)],
    ],
  ],
  [
    "blackberry priv",
    "the phone itself",
    [
      [3, all(phone, named(/priv/i))],
      [1, named(/priv/i)],
    ],
  ],
  ["phone", "a phone and no accessory", [[3, phone]]],
  ["smartphone", "a phone and no accessory", [[3, phone]]],
];

const plural: [query: string, why: string, grades: Grades][] = [
  ["screen protectors", "more than one", [[3, protector]]],
  ["phone cases", "more than one", [[3, aCase]]],
  [
    "car chargers",
    "more than one",
    [
      [3, carCharger],
      [1, all(filed(/Car/), named(/charg/i))],
    ],
  ],
  [
    "selfie sticks",
    "more than one",
    [
      [3, all(stick, named(/stick|monopod/i))],
      [1, stick],
    ],
  ],
  ["watch bands", "more than one", [[3, band]]],
  ["unlocked phones", "more than one", [[3, unlocked]]],
  [
    "lightning cables",
    "more than one",
    [
      [3, all(cable, named(/lightning/i))],
      [1, cable],
    ],
  ],
  [
    "batteries",
    "another ending",
    [
      [3, battery],
      [1, named(/batter/i)],
    ],
  ],
  ["wallets", "one would do", [[3, named(/wallet/i)]]],
  ["armbands", "more than one", [[3, armband]]],
  ["headsets", "more than one", [[3, headset]]],
  ["lenses", "another ending", [[3, lens]]],
  [
    "iphones",
    "the phones themselves",
    [
      [3, all(phone, iphone)],
      [1, iphone],
    ],
  ],
  [
    "iphone 7 cases",
    "more than one",
    [
      [3, all(aCase, i7, not(i7plus))],
      [2, all(aCase, i7)],
    ],
  ],
];

const phrase: [query: string, why: string, grades: Grades][] = [
  ['"rose gold" case', "the colour, not a rose and gold", [[3, all(aCase, named(/rose gold/i))]]],
  ['"juice pack"', "the words side by side", [[3, named(/juice pack/i)]]],
  ['"s7 edge" case', "the words side by side", [[3, all(aCase, s7edge)]]],
  ['"iphone 7 plus" case', "the words side by side", [[3, all(aCase, i7plus)]]],
  ['"screen protector" "galaxy s7"', "two phrases", [[3, all(protector, s7)]]],
  [
    "iphone 7 case -otterbox",
    "without that maker",
    [
      [3, all(aCase, i7, not(i7plus), not(named(/otterbox/i)))],
      [2, all(aCase, i7, not(named(/otterbox/i)))],
    ],
  ],
  [
    "galaxy s7 -case -edge",
    "without two words",
    [
      [3, all(phone, s7, not(named(/\bcase\b|edge|active/i)))],
      [2, all(phone, s7, not(named(/\bcase\b|edge/i)))],
      [1, all(s7, not(named(/\bcase\b|edge/i)))],
    ],
  ],
  ['case -"iphone 7"', "without a phrase", [[3, all(aCase, not(i7))]]],
  [
    "case for iphone 6 plus",
    "with a small word between",
    [
      [3, all(aCase, i6, named(/plus/i))],
      [1, all(aCase, i6)],
    ],
  ],
  [
    "charge and sync cable",
    "with a small word between",
    [
      [3, all(cable, named(/charge.and.sync/i))],
      [1, cable],
    ],
  ],
  [
    "cable for samsung galaxy",
    "what goes with a phone",
    [
      [3, all(cable, named(/samsung|galaxy|micro/i))],
      [1, cable],
    ],
  ],
];

const synonym: [query: string, why: string, grades: Grades][] = [
  ["mobile phone", "another word for cell phone", [[3, phone]]],
  ["cellphone", "cell phone as one word", [[3, phone]]],
  ["vehicle charger", "the catalogue's own word", [[3, carCharger]]],
  ["powerbank", "as one word", [[3, portable]]],
  ["earbuds", "another word for headset", [[3, headset]]],
  [
    "car holder",
    "another word for mount",
    [
      [3, all(mount, any(filed(/Mount|Car/), named(/car|vehicle|dash|vent/i)))],
      [1, mount],
    ],
  ],
  ["watch strap", "another word for band", [[3, band]]],
  ["iphone cover", "another word for case", [[3, all(aCase, iphone)]]],
  ["mobile charger", "a charger for phones", [[3, named(/charger/i)]]],
  ["cell phone case", "the catalogue's own words", [[3, aCase]]],
  ["bluetooth tracker", "another word for tag", [[3, tracker]]],
];

const none: [query: string, why: string][] = [
  ["dishwasher", "nothing of the kind is sold"],
  ["xqzvbnm", "no word"],
  ["garden hose", "nothing of the kind is sold"],
  ["iphone 15", "not in this catalogue"],
  ["playstation 4 controller", "nothing of the kind is sold"],
  ["galaxy s23 ultra", "not in this catalogue"],
  ["running shoes", "nothing of the kind is sold"],
  ["kitchen aid mixer", "nothing of the kind is sold"],
];

const listed = (part: Part, rows: [string, string, Grades][]): Judgement[] =>
  rows.map(([query, why, grades]) => ({ query, part, why, grades }));

export const JUDGEMENTS: Judgement[] = [
  ...listed("plain", plain),
  ...listed("typo", typo),
  ...listed("model", model),
  ...listed("brand", brand),
  ...listed("device", device),
  ...listed("plural", plural),
  ...listed("phrase", phrase),
  ...listed("synonym", synonym),
  ...none.map(([query, why]): Judgement => ({ query, part: "none", why, grades: [] })),
];

/** How well a product answers: 0 to 3. */
export const gradeOf = (judgement: Pick<Judgement, "grades">, product: JudgedProduct): number =>
  judgement.grades.find(([, test]) => test(product))?.[0] ?? 0;
