/**
 * SELECT by name: which application a full or partial AID means, and what it says about itself.
 *
 * Invariants: the security domain answers an empty name; a locked application is named but marked (6283); on a
 * locked card only the security domain can be selected.
 */
import { type CommandApdu, concatBytes, hex, tlv, unhex } from '@cardwright/emv';
import { type ApplicationInstance, type CardMemory, ISD_AID } from './card-memory.ts';
import { type StatusWord, SW, accept } from './status-word.ts';

export type Selection =
  | { readonly kind: 'security-domain' }
  | { readonly kind: 'application'; readonly instance: ApplicationInstance };

type SelectionDecision =
  | { readonly ok: true; readonly selection: Selection; readonly response: Uint8Array }
  | { readonly ok: false; readonly statusWord: StatusWord };

const BY_NAME = 0x04;
const FIRST_OCCURRENCE = 0x00;
const NEXT_OCCURRENCE = 0x02;
const MAX_AID_BYTES = 16;
/** Proprietary data of the security domain: the longest command data it takes is 255 bytes. */
const ISD_PROPRIETARY = unhex('A5049F6501FF');

/** Decides what SELECT means while `current` is selected. */
export function decideSelection(
  memory: CardMemory,
  current: Selection,
  command: CommandApdu,
): SelectionDecision {
  const isNext = command.p2 === NEXT_OCCURRENCE;
  if (command.p1 !== BY_NAME || (command.p2 !== FIRST_OCCURRENCE && !isNext)) {
    return { ok: false, statusWord: SW.parametersWrong };
  }
  const name = command.data ?? new Uint8Array(0);
  if (name.length > MAX_AID_BYTES) return { ok: false, statusWord: SW.lengthWrong };
  const matches = selectable(memory).filter((selection) => hex(aidOf(selection)).startsWith(hex(name)));
  const currentIndex = matches.findIndex((match) => hex(aidOf(match)) === hex(aidOf(current)));
  const found = matches[isNext ? currentIndex + 1 : 0];
  if (found === undefined || (isNext && currentIndex < 0)) return { ok: false, statusWord: SW.fileNotFound };
  return { ok: true, selection: found, response: selectResponse(found) };
}

function selectable(memory: CardMemory): Selection[] {
  const applications =
    memory.lifeCycle === 'CARD_LOCKED'
      ? []
      : memory.instances.filter((instance) => instance.lifeCycle !== 'INSTALLED');
  return [
    { kind: 'security-domain' },
    ...applications.map((instance): Selection => ({ kind: 'application', instance })),
  ];
}

function aidOf(selection: Selection): Uint8Array {
  return selection.kind === 'security-domain' ? ISD_AID : selection.instance.aid;
}

function selectResponse(selection: Selection): Uint8Array {
  if (selection.kind === 'security-domain') return accept(tlv('6F', [tlv('84', ISD_AID), ISD_PROPRIETARY]));
  const { instance } = selection;
  const template = instance.contents?.fciTemplate ?? tlv('A5', new Uint8Array(0));
  const fci = tlv('6F', [tlv('84', instance.aid), template]);
  return instance.isLocked ? concatBytes(fci, unhex(SW.selectedFileInvalidated)) : accept(fci);
}
