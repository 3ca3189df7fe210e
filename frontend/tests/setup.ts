import "@testing-library/jest-dom/vitest";

import { active } from "../src/chat/languages/active.svelte";
import { en } from "../src/chat/languages/en";

active.show("en", en);
