/** English: the words that every other language has too. A key is added here first; the others then fail to compile. */
import { counting } from "./counting";

const { number, plural } = counting("en");

export const en = {
  assistant: "Assistant",
  agent: "Support",
  you: "You",
  support: "Support",

  status: {
    connecting: "Connecting…",
    connected: "Connected",
    reconnecting: "Reconnecting…",
    offline: "Offline",
  },
  offlineHelp: "You are offline. What you write is kept here and sent when the connection is back.",
  unreachableHelp: "The shop cannot be reached. What you write is kept here and sent when it answers.",
  willNeedConnection: "That needs a connection. Please try again in a moment.",
  tryNow: "Try now",

  conversations: "Conversations",
  openConversations: "Open your conversations",
  closeConversations: "Close",
  newConversation: "New conversation",
  untitled: "New conversation",
  noConversations: "Your conversations appear here.",
  conversationStatus: {
    bot: "",
    waiting: "Waiting for a person",
    human: "With a person",
    closed: "Closed",
  },
  unsentHere: "Not sent yet",

  language: "Language",

  toDark: "Use dark colours",
  toLight: "Use light colours",
  talkToPerson: "Talk to a person",
  skipToComposer: "Skip to the message box",

  chatLog: "Messages",
  starters: "Questions to start with",
  loadEarlier: "Show earlier messages",
  loadingEarlier: "Loading earlier messages…",
  earlierFailed: "Earlier messages could not be loaded.",
  loading: "Opening the conversation…",
  newMessages: "New messages",
  jumpToLatest: "Jump to the latest message",
  today: "Today",
  yesterday: "Yesterday",

  thinking: "Thinking…",
  stopped: "You stopped this answer.",
  stoppedEmpty: "You stopped the answer before it began.",
  failed:
    "I am sorry, I could not answer this. Your message is kept. You can try again, or talk to a person.",
  tryAgain: "Try again",
  retry: "Ask again",
  copy: "Copy",
  copied: "Copied",
  copyFailed: "Copying was not allowed",
  sources: "Sources",
  openSource: "Open the article",

  thumbUp: "Good answer",
  thumbDown: "Bad answer",
  removeRating: "Take the rating back",
  ratedUp: "Thanks, glad it helped.",
  ratedDown: "Thanks for telling us.",
  undo: "Undo",
  ratingTitle: "What was wrong with this answer?",
  ratingReasons: [
    "It did not answer my question",
    "It is not correct",
    "It is hard to understand",
    "I need a person",
  ],
  ratingOther: "Anything else? (optional)",
  ratingSend: "Send feedback",
  ratingCancel: "Not now",

  composerLabel: "Your message",
  composerPlaceholder: {
    bot: "Ask a question…",
    waiting: "Add details…",
    human: "Write a message…",
    closed: "",
  },
  send: "Send",
  stop: "Stop",
  stopping: "Stopping…",
  sending: "Sending…",
  willRetry: "Not sent yet. Trying again soon.",
  willSend: "Will be sent when you are connected.",
  notSent: "Not sent",
  resend: "Retry",
  edit: "Edit",
  discard: "Discard",
  disclaimer: "Answers come from an AI and can be wrong.",
  trainingNotice: "Conversations, with personal data removed, help to improve them.",
  consentQuestion: "May we use this conversation, with personal data removed, to improve our answers?",
  consentYes: "Yes, you may",
  consentNo: "No",
  closeChat: "Close the chat",

  waitingTitle: "You’re in the queue for a person.",
  waitingNext: "You’re next in the queue for a person.",
  waitingPlace: (place: number) => `You’re number ${number(place)} in the queue for a person.`,
  waitingHelp: "You can add details meanwhile.",
  nobodyHere: "Nobody is here right now.",
  backAt: (when: string) => `We’re back ${when}.`,
  emailPrompt: "Leave your e-mail address and we answer you there:",
  emailLabel: "E-mail address",
  emailSend: "Leave it",
  emailInvalid: "Please write an address such as name@example.com.",
  emailLeft: (email: string) => `We’ll answer you at ${email}.`,
  emailChange: "Change",
  backToAssistant: "Go back to the assistant",
  humanTitle: "You’re talking to a person.",
  talkingTo: (name: string) => `You’re talking to ${name}.`,
  isTyping: (name = "Somebody of our team") => `${name} is typing…`,
  closedTitle: "This conversation is closed.",
  startNew: "Start a new conversation",

  dismiss: "Dismiss",
  outdated: "This page is out of date.",
  reload: "Reload",
  notFound: "That conversation is no longer here.",
  tryLater: "The shop is busy. Trying again soon.",

  charactersLeft: (left: number) =>
    left >= 0
      ? plural(left, { one: "# character left", other: "# characters left" })
      : plural(-left, { one: "# character too many", other: "# characters too many" }),
  replied: (text: string) => `The assistant replied: ${text}`,
  agentSaid: (text: string, name = "Support") => `${name} says: ${text}`,
};

/** What every language says. */
export type Strings = typeof en;
