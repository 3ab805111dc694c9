import type { MailTexts } from "./texts";

/** Dauern im Dativ, wie sie hinter „innerhalb von“ und „in“ stehen. */
const UNITS = {
  minute: ["einer Minute", "Minuten"],
  hour: ["einer Stunde", "Stunden"],
  day: ["einem Tag", "Tagen"],
} as const;

export const de: MailTexts = {
  duration: (amount, unit) => (amount === 1 ? UNITS[unit][0] : `${amount} ${UNITS[unit][1]}`),
  verificationCode: (within) => ({
    subject: "Ihr Code",
    paragraphs: [
      `Guten Tag, geben Sie diesen Code innerhalb von ${within} ein, um Ihre Adresse zu bestätigen.`,
      "Wenn Sie ihn nicht angefordert haben, brauchen Sie nichts zu tun: Ohne den Code geschieht nichts.",
    ],
  }),
  accountExists: (name) => ({
    subject: "Sie haben schon ein Konto",
    paragraphs: [
      `Guten Tag ${name}, jemand, vielleicht Sie selbst, wollte sich mit dieser Adresse registrieren. Zu ihr gehört schon ein Konto.`,
      "Melden Sie sich mit Ihrem Passwort an, oder setzen Sie es zurück, wenn Sie es nicht mehr wissen. Wenn Sie es nicht waren, brauchen Sie nichts zu tun.",
    ],
  }),
  resetPassword: (name, within, byAdministrator) => ({
    subject: "Neues Passwort setzen",
    label: "Neues Passwort setzen",
    paragraphs: [
      `Guten Tag ${name}, ${byAdministrator ? "jemand aus der Verwaltung hat Ihnen diese Mail schicken lassen: " : ""}mit diesem Link können Sie ein neues Passwort setzen. Er gilt einmal, innerhalb von ${within}, und meldet Sie überall ab.`,
      "Wenn Sie ihn nicht angefordert haben, brauchen Sie nichts zu tun: Ihr Passwort bleibt, wie es ist.",
    ],
  }),
  leaveAddress: (name, newEmail, within) => ({
    subject: "Bestätigen Sie Ihre neue Adresse",
    label: "Änderung bestätigen",
    paragraphs: [
      `Guten Tag ${name}, Ihr Konto soll statt dieser die Adresse ${newEmail} bekommen. Beide Adressen müssen das bestätigen; dieser Link tut es für diese hier. Er gilt einmal, innerhalb von ${within}.`,
      "Wenn Sie es nicht waren, folgen Sie dem Link nicht und setzen Sie sofort ein neues Passwort: Jemand kennt Ihres. Ein neues Passwort beendet die Änderung.",
    ],
  }),
  lostAddress: (name, newEmail, within, byAdministrator) => ({
    subject: "Ihr Konto soll eine andere Adresse bekommen",
    label: "Änderung bestätigen",
    paragraphs: [
      `Guten Tag ${name}, ${byAdministrator ? "jemand aus der Verwaltung" : "jemand mit Ihrem zweiten Faktor"} hat angegeben, dass unter dieser Adresse niemand mehr Mails liest. In ${within} bekommt Ihr Konto statt dieser die Adresse ${newEmail}. Mit diesem Link bekommt es sie sofort.`,
      "Wenn Sie es nicht waren, folgen Sie dem Link nicht und setzen Sie sofort ein neues Passwort, was mit dieser Adresse möglich ist: Das beendet die Änderung.",
    ],
  }),
  proveAddress: (within) => ({
    subject: "Bestätigen Sie Ihre neue Adresse",
    label: "Adresse bestätigen",
    paragraphs: [
      `Guten Tag, mit diesem Link bestätigen Sie, dass diese Adresse Ihre ist und ein Konto sie bekommen darf. Er gilt einmal, innerhalb von ${within}. Auch die bisherige Adresse muss zustimmen, oder sie wird benachrichtigt.`,
      "Wenn Sie das nicht angefordert haben, brauchen Sie nichts zu tun: Ohne den Link geschieht nichts.",
    ],
  }),
  addressWanted: (name) => ({
    subject: "Ihre Adresse wurde für ein anderes Konto angegeben",
    paragraphs: [
      `Guten Tag ${name}, jemand, vielleicht Sie selbst, wollte diese Adresse einem anderen Konto geben. Sie gehört schon zu Ihrem, deshalb wurde nichts geändert.`,
      "Wenn Sie es waren, melden Sie sich mit dieser Adresse an. Wenn nicht, brauchen Sie nichts zu tun.",
    ],
  }),
  exportReady: (name, within) => ({
    subject: "Ihre Daten liegen bereit",
    label: "Daten abholen",
    paragraphs: [
      `Guten Tag ${name}, das Archiv Ihrer Daten, das Sie angefordert haben, können Sie innerhalb von ${within} abholen. Dafür müssen Sie sich anmelden.`,
      "Wenn Sie es nicht angefordert haben, setzen Sie sofort ein neues Passwort und beenden Sie die Sitzungen, die Sie nicht kennen.",
    ],
  }),
  accountDeleted: (name) => ({
    subject: "Ihr Konto wurde gelöscht",
    paragraphs: [
      `Guten Tag ${name}, Ihr Konto wurde auf Ihren Wunsch gelöscht. Was wir über Sie wissen, wird entfernt. Die Adresse ist frei für ein neues Konto.`,
      "Wenn Sie es nicht waren, antworten Sie sofort auf diese Mail: Niemand kann sich bei dem Konto mehr anmelden.",
    ],
  }),
  banned: (name, reason) => ({
    subject: "Ihr Konto wurde gesperrt",
    paragraphs: [
      `Guten Tag ${name}, Ihr Konto wurde von der Verwaltung gesperrt. Der angegebene Grund: ${reason}`,
      "Sie sind überall abgemeldet und können sich nicht anmelden, bis die Sperre aufgehoben ist.",
    ],
  }),
  lowStock: (name, { sku, location, available, threshold }) => ({
    subject: `Niedriger Bestand: ${sku}`,
    paragraphs: [
      `Guten Tag ${name}, von ${sku} sind an ${location} nur noch ${available} verkäuflich. Sie wollten ab ${threshold} davon erfahren.`,
      "Alles mit niedrigem Bestand steht unter /api/products/inventory/low-stock.",
    ],
  }),
  notices: {
    password_changed: ["Ihr Passwort wurde geändert", "Das Passwort Ihres Kontos wurde geändert."],
    password_reset: [
      "Ihr Passwort wurde zurückgesetzt",
      "Das Passwort Ihres Kontos wurde mit einem Link aus einer Mail neu gesetzt.",
    ],
    new_device: [
      "Neue Anmeldung bei Ihrem Konto",
      "Jemand hat sich von einem neuen Gerät bei Ihrem Konto angemeldet.",
    ],
    address_changed: ["Ihre Adresse wurde geändert", "Die Adresse Ihres Kontos wurde geändert."],
    second_factor_changed: [
      "Ihr zweiter Faktor wurde geändert",
      "Ein zweiter Faktor oder ein Passkey Ihres Kontos wurde hinzugefügt, entfernt oder ersetzt.",
    ],
    token_reused: [
      "Eine Ihrer Sitzungen wurde beendet",
      "Eine Ihrer Sitzungen wurde an zwei Orten verwendet, wie wenn jemand sie kopiert hat. Sie wurde an beiden beendet.",
    ],
    second_factor_failed: [
      "Jemand kennt Ihr Passwort",
      "Jemand hat auf einem neuen Gerät Ihr Passwort eingegeben und danach einen falschen Code statt Ihres zweiten Faktors.",
    ],
    backup_code_used: [
      "Ein Ersatzcode wurde verwendet",
      "Ein Ersatzcode Ihres Kontos wurde statt der Authenticator-App verwendet. Jeder gilt einmal: Erzeugen Sie neue, bevor sie ausgehen.",
    ],
    api_key_created: [
      "Ein API-Schlüssel wurde erzeugt",
      "Ein API-Schlüssel Ihres Kontos wurde erzeugt. Wer ihn hat, darf, was er und Ihr Konto beide erlauben.",
    ],
    api_key_revoked: ["Ein API-Schlüssel wurde widerrufen", "API-Schlüssel Ihres Kontos wurden widerrufen."],
  },
  notice: (name, what, { at, where, device, link, byAdministrator }, { made, revoked, working }) => [
    `Guten Tag ${name}. ${what}`,
    `Wann: ${at}. Wo: ${byAdministrator ? "durch die Verwaltung" : `${where}, ${device}`}.`,
    ...(made === "" ? [] : [`Der API-Schlüssel: ${made}.`]),
    ...(revoked === ""
      ? []
      : [`Diese API-Schlüssel wurden widerrufen; was sie verwendet, braucht neue: ${revoked}.`]),
    ...(working === ""
      ? []
      : [`Diese API-Schlüssel gelten weiter; widerrufen Sie die, die Sie nicht kennen: ${working}.`]),
    `Wenn Sie es waren, brauchen Sie nichts zu tun. Wenn nicht, setzen Sie sofort ein neues Passwort und beenden Sie die Sitzungen und API-Schlüssel, die Sie nicht kennen: ${link}`,
  ],
};
