/** How often a page says that somebody types, and for how long the other side shows it. */
export const TYPING_EVERY = 3_000;
export const TYPING_LASTS = 6_000;
