/**
 * The printer's panel: the one event that it shows, and the answer that it waits for.
 *
 * Invariants: one event at a time; an answer is taken only when it is one of those offered; nothing but an answer
 * takes an event away.
 */

export interface PanelEvent {
  readonly event: string;
  readonly actions: readonly string[];
}

export class OperatorPanel {
  #shown: { readonly event: PanelEvent; readonly resolve: (action: string) => void } | undefined;

  get shown(): PanelEvent | undefined {
    return this.#shown?.event;
  }

  /** Shows an event and resolves with the action that is chosen. */
  ask(event: PanelEvent): Promise<string> {
    if (this.#shown !== undefined) throw new Error('the panel shows an event already');
    return new Promise((resolve) => {
      this.#shown = { event, resolve };
    });
  }

  /** Returns false when this is not an answer to what is shown. */
  answer(event: string, action: string): boolean {
    const shown = this.#shown;
    if (shown?.event.event !== event || !shown.event.actions.includes(action)) return false;
    this.#shown = undefined;
    shown.resolve(action);
    return true;
  }
}
