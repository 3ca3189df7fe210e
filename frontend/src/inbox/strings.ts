/** Every word of the inbox, in one place for translation. */

export const strings = {
  connecting: "Connecting…",
  reconnecting: "Reconnecting… What you do now is not sent.",

  inbox: "Inbox",
  list: "Conversations",
  conversation: "The open conversation",
  waiting: "Waiting",
  mine: "Mine",
  others: "With colleagues",
  nobodyWaits: "Nobody is waiting. A conversation appears here as soon as a customer asks for a person.",
  noneMine: "None yet. Take one that is waiting.",
  waitingFor: (time: string) => `waiting ${time}`,
  unread: (count: number) => (count === 1 ? "1 unread message" : `${count} unread messages`),
  leftEmail: "Left an e-mail address",
  online: (names: readonly string[]) =>
    names.length === 0 ? "No colleague is here" : `Here: ${names.join(", ")}`,

  soundOn: "Sound is on",
  soundOff: "Sound is off",
  notify: "Notify me",
  notifying: "Notifications are on",
  notifyDenied: "Notifications are blocked by the browser",

  files: "Files of this message",
  download: (name: string) => `Download ${name}, which a customer sent: open it with care`,
  fileFailed: "This file could not be loaded. Reload the page and try again.",

  choose: "Choose a conversation to read it.",
  back: "All conversations",
  loading: "Opening the conversation…",
  gone: "This conversation no longer exists.",
  transcript: "Full transcript",
  earlier: "Earlier messages are in the full transcript.",
  answerAt: (email: string) => `Asks to be answered at ${email}`,
  state: {
    bot: "The assistant answers this conversation.",
    waiting: "Waiting for a person.",
    human: "",
    closed: "This conversation is closed.",
  },
  yours: "You have this conversation.",
  has: (name: string) => `${name} has this conversation.`,

  take: "Take it",
  takeOver: (name: string) => `Take over from ${name}`,
  release: "Back to the queue",
  assign: "Give to…",
  assignNow: "Give it",
  assignTo: "Give this conversation to a colleague",
  giveBack: "Return to the assistant",
  rated: (score: number) => `The customer gave this conversation ${score} of 5.`,
  close: "Close",
  closeQuestion: "Close this conversation for good?",
  closeYes: "Close it",
  closeNo: "Keep it open",

  messages: "Messages",
  role: { customer: "Customer", bot: "Assistant", agent: "Support", system: "" },
  noteBy: (name: string) => `${name}, internal note`,
  customerTyping: "The customer is typing…",
  agentTyping: (name = "A colleague") => `${name} is typing to the customer…`,
  sending: "Sending…",

  suggest: "Suggest a reply",
  suggesting: "The assistant is drafting a reply…",
  suggestion: "Suggested by the assistant. Read it before you send it.",
  sendSuggestion: "Send as it is",
  editSuggestion: "Edit",
  askAgain: "Ask again",
  restsOn: "Rests on",

  modes: "What you write",
  reply: "Reply",
  noteMode: "Note",
  replyLabel: "Your reply",
  noteLabel: "A note for your colleagues",
  replyPlaceholder: "Answer the customer… (“/” for canned replies)",
  notePlaceholder: "Only your colleagues see this…",
  send: "Send",
  addNote: "Add note",
  canned: "Canned replies",
  tooLong: (by: number) => `${by.toLocaleString("en")} characters too many`,
  offline: "There is no connection right now. Your text stays here.",
  dismiss: "Dismiss",

  someoneWaits: (title: string) => `A customer is waiting: ${title}`,
  wrote: (customer: string, text: string) => `${customer}: ${text}`,
  arrived: "A customer is waiting for a person.",
};

/** How long something has lasted, as briefly as it can be said. */
export function lasted(since: string, now: number): string {
  const minutes = Math.max(0, Math.floor((now - Date.parse(since)) / 60_000));
  if (minutes < 1) return "less than a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
