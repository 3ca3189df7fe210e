/** German. */
import { counting } from "./counting";
import type { Strings } from "./en";

const { number } = counting("de");

export const de: Strings = {
  assistant: "Assistent",
  agent: "Kundenservice",
  you: "Sie",
  support: "Kundenservice",

  status: {
    connecting: "Verbindung wird aufgebaut …",
    connected: "Verbunden",
    reconnecting: "Verbindung wird wiederhergestellt …",
    offline: "Keine Verbindung",
  },
  offlineHelp:
    "Sie sind offline. Was Sie schreiben, bleibt hier gespeichert und wird gesendet, sobald die Verbindung wieder steht.",
  unreachableHelp:
    "Der Shop ist gerade nicht erreichbar. Was Sie schreiben, bleibt hier gespeichert und wird gesendet, sobald er antwortet.",
  willNeedConnection: "Dafür wird eine Verbindung benötigt. Bitte versuchen Sie es gleich noch einmal.",
  tryNow: "Jetzt versuchen",

  conversations: "Unterhaltungen",
  openConversations: "Ihre Unterhaltungen öffnen",
  closeConversations: "Schließen",
  newConversation: "Neue Unterhaltung",
  untitled: "Neue Unterhaltung",
  noConversations: "Hier erscheinen Ihre Unterhaltungen.",
  conversationStatus: {
    bot: "",
    waiting: "Wartet auf einen Mitarbeiter",
    human: "Im Gespräch mit einem Mitarbeiter",
    closed: "Beendet",
  },
  unsentHere: "Noch nicht gesendet",

  language: "Sprache",

  toDark: "Dunkle Darstellung",
  toLight: "Helle Darstellung",
  talkToPerson: "Mit einem Menschen sprechen",
  skipToComposer: "Zum Nachrichtenfeld springen",

  chatLog: "Nachrichten",
  starters: "Fragen für den Einstieg",
  loadEarlier: "Frühere Nachrichten anzeigen",
  loadingEarlier: "Frühere Nachrichten werden geladen …",
  earlierFailed: "Frühere Nachrichten konnten nicht geladen werden.",
  loading: "Die Unterhaltung wird geöffnet …",
  newMessages: "Neue Nachrichten",
  jumpToLatest: "Zur neuesten Nachricht springen",
  today: "Heute",
  yesterday: "Gestern",

  thinking: "Denkt nach …",
  stopped: "Sie haben diese Antwort angehalten.",
  stoppedEmpty: "Sie haben die Antwort angehalten, bevor sie begonnen hat.",
  failed:
    "Es tut uns leid, darauf konnte nicht geantwortet werden. Ihre Nachricht ist gespeichert. Sie können es noch einmal versuchen oder mit einem Menschen sprechen.",
  tryAgain: "Noch einmal versuchen",
  retry: "Erneut fragen",
  copy: "Kopieren",
  copied: "Kopiert",
  copyFailed: "Das Kopieren wurde nicht erlaubt",
  sources: "Quellen",
  openSource: "Artikel öffnen",

  thumbUp: "Gute Antwort",
  thumbDown: "Schlechte Antwort",
  removeRating: "Bewertung zurücknehmen",
  ratedUp: "Danke, schön, dass es geholfen hat.",
  ratedDown: "Danke für Ihre Rückmeldung.",
  undo: "Rückgängig",
  ratingTitle: "Was stimmte an dieser Antwort nicht?",
  ratingReasons: [
    "Sie hat meine Frage nicht beantwortet",
    "Sie ist nicht richtig",
    "Sie ist schwer zu verstehen",
    "Ich brauche einen Menschen",
  ],
  ratingOther: "Möchten Sie noch etwas ergänzen? (optional)",
  ratingSend: "Rückmeldung senden",
  ratingCancel: "Jetzt nicht",

  composerLabel: "Ihre Nachricht",
  composerPlaceholder: {
    bot: "Stellen Sie eine Frage …",
    waiting: "Ergänzen Sie Einzelheiten …",
    human: "Schreiben Sie eine Nachricht …",
    closed: "",
  },
  send: "Senden",
  stop: "Anhalten",
  stopping: "Wird angehalten …",
  sending: "Wird gesendet …",
  willRetry: "Noch nicht gesendet. Es wird gleich noch einmal versucht.",
  willSend: "Wird gesendet, sobald Sie verbunden sind.",
  notSent: "Nicht gesendet",
  resend: "Erneut senden",
  edit: "Bearbeiten",
  discard: "Verwerfen",
  disclaimer: "Die Antworten stammen von einer KI und können falsch sein.",
  trainingNotice: "Unterhaltungen, aus denen persönliche Daten entfernt wurden, helfen, sie zu verbessern.",
  consentQuestion:
    "Dürfen wir diese Unterhaltung ohne Ihre persönlichen Daten verwenden, um unsere Antworten zu verbessern?",
  consentYes: "Ja, gerne",
  consentNo: "Nein",
  closeChat: "Chat schließen",

  waitingTitle: "Sie sind in der Warteschlange.",
  waitingNext: "Sie sind als Nächstes an der Reihe.",
  waitingPlace: (place: number) => `Sie sind auf Platz ${number(place)} der Warteschlange.`,
  waitingHelp: "Sie können inzwischen weitere Einzelheiten ergänzen.",
  nobodyHere: "Im Moment ist niemand da.",
  backAt: (when: string) => `Wir sind wieder für Sie da: ${when}.`,
  emailPrompt: "Hinterlassen Sie Ihre E-Mail-Adresse, dann antworten wir Ihnen dort:",
  emailLabel: "E-Mail-Adresse",
  emailSend: "Hinterlassen",
  emailInvalid: "Bitte geben Sie eine Adresse wie name@example.com ein.",
  emailLeft: (email: string) => `Wir antworten Ihnen an ${email}.`,
  emailChange: "Ändern",
  backToAssistant: "Zurück zum Assistenten",
  humanTitle: "Sie sprechen mit einem Menschen.",
  talkingTo: (name: string) => `Sie sprechen mit ${name}.`,
  isTyping: (name = "Jemand aus unserem Team") => `${name} schreibt …`,
  closedTitle: "Diese Unterhaltung ist beendet.",
  startNew: "Neue Unterhaltung beginnen",

  dismiss: "Ausblenden",
  outdated: "Diese Seite ist nicht mehr aktuell.",
  reload: "Neu laden",
  notFound: "Diese Unterhaltung gibt es nicht mehr.",
  tryLater: "Der Shop ist ausgelastet. Es wird gleich noch einmal versucht.",

  charactersLeft: (left: number) =>
    left >= 0 ? `Noch ${number(left)} Zeichen` : `${number(-left)} Zeichen zu viel`,
  replied: (text: string) => `Der Assistent hat geantwortet: ${text}`,
  agentSaid: (text: string, name = "Der Kundenservice") => `${name} schreibt: ${text}`,
};
