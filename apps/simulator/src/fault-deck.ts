/**
 * The fault deck: every way in which the desk can be told to fail, by name.
 *
 * Invariants: one table for configuration, behaviour and `--list-faults`; a fault changes what its description
 * says and nothing else; `-once` faults strike the first card or are mended by the first retry.
 */
import { type CardKnobs } from '@cardwright/card';

/** When a fault strikes: before anything moves, or with the card on its way. */
export type FaultMoment = 'before-feed' | 'feed' | 'print' | 'before-reject';

/** What a fault does. */
export type FaultEffect =
  /** The chip of every card fed (or of the first one) misbehaves. */
  | { readonly kind: 'chip'; readonly knobs: CardKnobs; readonly isFirstOnly: boolean }
  /** The printer stops at the moment and waits for SetEvent. */
  | {
      readonly kind: 'stop';
      readonly moment: FaultMoment;
      readonly event: string;
      readonly actions: readonly string[];
      /** True when the first RETRY mends it; false when every RETRY stops again. */
      readonly isMendedByRetry: boolean;
    }
  /** The printer cannot start a job; visible in its state from the start. */
  | { readonly kind: 'standing'; readonly minor: string }
  /** The service falls silent when a print begins: it accepts connections and answers nothing. */
  | { readonly kind: 'silence'; readonly comesBack: boolean }
  /** The print is done, but the answer to it is no JSON. */
  | { readonly kind: 'garbled-answer' }
  /** The customer walks away from the presented card. */
  | { readonly kind: 'not-taken' };

export interface FaultEntry {
  readonly description: string;
  readonly effect: FaultEffect;
}

/** The STORE DATA command, counted from 0 over the whole card, at which mid-script faults strike. */
const midScriptBlock = 3;

function chip(description: string, knobs: CardKnobs, isFirstOnly = false): FaultEntry {
  return { description, effect: { kind: 'chip', knobs, isFirstOnly } };
}

function stop(
  description: string,
  moment: FaultMoment,
  event: string,
  options: { readonly isMendedByRetry?: boolean; readonly isHopeless?: boolean } = {},
): FaultEntry {
  return {
    description,
    effect: {
      kind: 'stop',
      moment,
      event,
      actions: options.isHopeless === true ? ['CANCEL'] : ['RETRY', 'CANCEL'],
      isMendedByRetry: options.isMendedByRetry ?? false,
    },
  };
}

export const faultDeck = {
  'chip-mute': chip('Every chip is mute: no answer to reset', { isMute: true }),
  'chip-mute-once': chip('The first chip is mute, later ones work', { isMute: true }, true),
  'chip-yanked': chip('The chip loses contact in the middle of its personalization', {
    storeDataFault: { block: midScriptBlock, effect: { kind: 'removed' } },
  }),
  'chip-silent': chip('The chip stops answering in the middle of its personalization', {
    storeDataFault: { block: midScriptBlock, effect: { kind: 'mute' } },
  }),
  'chip-answer-lost': chip('The chip stores a block and loses contact before it answers', {
    storeDataFault: { block: midScriptBlock, effect: { kind: 'response-lost' } },
  }),
  'chip-refuses': chip('The chip refuses a personalization block (memory failure, 6581)', {
    storeDataFault: { block: midScriptBlock, effect: { kind: 'status-word', statusWord: '6581' } },
  }),
  'chip-wrong-key': chip("The chip's cryptogram does not verify: other keys than the vault's", {
    hasWrongCardCryptogram: true,
  }),
  'chip-used': chip('The blank was personalized before', { isAlreadyPersonalized: true }),
  'chip-locked': chip('The blank arrives locked', { isBlocked: true }),
  'chip-corrupt-record': chip('The chip stores one byte wrong: verification must notice', {
    corruptsRecord: true,
  }),
  'feeder-empty': stop('The feeder is empty and nobody fills it', 'before-feed', 'DEF_FEEDER_EMPTY'),
  'feeder-empty-once': stop('The feeder is empty until the first retry', 'before-feed', 'DEF_FEEDER_EMPTY', {
    isMendedByRetry: true,
  }),
  'feed-slip': stop('The feeder picks no blank', 'before-feed', 'ERR_FEEDER_ERROR'),
  'feed-jam': stop('A blank sticks between feeder and printer', 'feed', 'ERR_FEEDER_ERROR', {
    isHopeless: true,
  }),
  'card-jam': stop('The card jams while it is printed', 'print', 'ERR_MECHANICAL', {
    isHopeless: true,
  }),
  'ribbon-out': stop('The ribbon ends during the print and nobody replaces it', 'print', 'ERR_RIBBON_ENDED'),
  'ribbon-out-once': stop('The ribbon ends during the print and is replaced', 'print', 'ERR_RIBBON_ENDED', {
    isMendedByRetry: true,
  }),
  'ribbon-torn': stop('The ribbon tears during the print', 'print', 'ERR_RIBBON_ERROR', {
    isHopeless: true,
  }),
  'ribbon-missing': {
    description: 'There is no ribbon in the printer',
    effect: { kind: 'standing', minor: 'DEF_NO_RIBBON' },
  },
  'cover-open': {
    description: 'The cover stands open',
    effect: { kind: 'standing', minor: 'DEF_COVER_OPEN' },
  },
  'cover-open-once': stop(
    'The cover is opened during the print and closed again',
    'print',
    'ERR_COVER_OPEN',
    {
      isMendedByRetry: true,
    },
  ),
  'reject-full': stop('The reject box is full and nobody empties it', 'before-reject', 'DEF_REJECT_BOX_FULL'),
  'reject-full-once': stop('The reject box is full and is emptied', 'before-reject', 'DEF_REJECT_BOX_FULL', {
    isMendedByRetry: true,
  }),
  'not-taken': {
    description: 'The customer does not take the card; the bezel takes it back',
    effect: { kind: 'not-taken' },
  },
  'printer-offline': {
    description: 'The printer answers nothing any more once a print has begun',
    effect: { kind: 'silence', comesBack: false },
  },
  'printer-offline-once': {
    description: 'The printer is silent for some seconds once a print has begun',
    effect: { kind: 'silence', comesBack: true },
  },
  'printer-garbled': {
    description: 'The answer to the print is garbage',
    effect: { kind: 'garbled-answer' },
  },
} as const satisfies Readonly<Record<string, FaultEntry>>;

export type FaultName = keyof typeof faultDeck;
export const faultNames = Object.keys(faultDeck) as FaultName[];

/** The deck as `--list-faults` prints it. */
export function listFaults(): readonly { readonly name: FaultName; readonly description: string }[] {
  return faultNames.map((name) => ({ name, description: faultDeck[name].description }));
}

/** The faults that are armed, and which of them are spent. */
export class ArmedFaults {
  readonly #armed: Map<FaultName, FaultEffect>;

  constructor(names: readonly FaultName[]) {
    this.#armed = new Map(names.map((name) => [name, faultDeck[name].effect]));
  }

  /** The state that keeps jobs from starting; undefined when nothing does. */
  standingMinor(): string | undefined {
    for (const effect of this.#armed.values()) {
      if (effect.kind === 'standing') return effect.minor;
      if (effect.kind === 'stop' && effect.event === 'DEF_FEEDER_EMPTY') return effect.event;
    }
    return undefined;
  }

  /** The fault that stops this operation now. */
  stopAt(
    moment: FaultMoment,
  ): { readonly name: FaultName; readonly effect: FaultEffect & { kind: 'stop' } } | undefined {
    for (const [name, effect] of this.#armed) {
      if (effect.kind === 'stop' && effect.moment === moment) return { name, effect };
    }
    return undefined;
  }

  /** What the next card fed is like; spends a fault that strikes the first card only. */
  takeChipKnobs(): CardKnobs {
    let knobs: CardKnobs = {};
    for (const [name, effect] of this.#armed) {
      if (effect.kind !== 'chip') continue;
      knobs = { ...knobs, ...effect.knobs };
      if (effect.isFirstOnly) this.#armed.delete(name);
    }
    return knobs;
  }

  /** The silence that the next print begins; one that comes back strikes once. */
  takeSilence(): { readonly comesBack: boolean } | undefined {
    for (const [name, effect] of this.#armed) {
      if (effect.kind !== 'silence') continue;
      if (effect.comesBack) this.#armed.delete(name);
      return { comesBack: effect.comesBack };
    }
    return undefined;
  }

  has(kind: FaultEffect['kind']): boolean {
    return [...this.#armed.values()].some((effect) => effect.kind === kind);
  }

  mend(name: FaultName): void {
    this.#armed.delete(name);
  }
}
