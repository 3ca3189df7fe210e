import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";

import QueuePlace from "../src/chat/components/QueuePlace.svelte";
import { strings } from "../src/chat/strings";
import type { QueuePlace as Queue } from "../src/shared/protocol";

function show(queue: Queue | undefined) {
  const onemail = vi.fn<(email: string) => void>();
  render(QueuePlace, { queue, onemail });
  return onemail;
}

it("says the place, and who is next", () => {
  show({ place: 3, open: true });
  expect(screen.getByTestId("queue-place")).toHaveTextContent("number 3");
  expect(screen.queryByTestId("email-form")).toBeNull();
});

it("says nothing of a place that is not known yet", () => {
  show(undefined);
  expect(screen.getByTestId("queue-place")).toHaveTextContent(strings.waitingTitle);
});

it("asks for an address outside business hours, and says when somebody is there", () => {
  show({ place: 1, open: false, opens_at: "2026-11-25T09:00:00+00:00" });
  expect(screen.getByText(/We’re back/)).toHaveTextContent("Wednesday");
  expect(screen.getByLabelText(strings.emailLabel)).toBeInTheDocument();
});

it("takes an address only where it is one", async () => {
  const user = userEvent.setup();
  const onemail = show({ place: 1, open: false });
  await user.type(screen.getByLabelText(strings.emailLabel), "ada{Enter}");
  expect(screen.getByRole("alert")).toHaveTextContent(strings.emailInvalid);
  expect(onemail).not.toHaveBeenCalled();
  await user.type(screen.getByLabelText(strings.emailLabel), "@example.com{Enter}");
  expect(onemail).toHaveBeenCalledExactlyOnceWith("ada@example.com");
});

it("shows what was left, and lets it be changed", async () => {
  const user = userEvent.setup();
  const onemail = show({ place: 1, open: false, email: "ada@example.com" });
  expect(screen.getByTestId("email-left")).toHaveTextContent("ada@example.com");
  await user.click(screen.getByRole("button", { name: strings.emailChange }));
  await user.clear(screen.getByLabelText(strings.emailLabel));
  await user.type(screen.getByLabelText(strings.emailLabel), "new@example.com{Enter}");
  expect(onemail).toHaveBeenCalledExactlyOnceWith("new@example.com");
});
