/** The hand-over of a produced card: an axis of its own, beside the order's state. */
import { type TransitionTable } from './transition.ts';

export const handOverStates = ['none', 'presented', 'taken', 'retracted'] as const;
export type HandOverState = (typeof handOverStates)[number];

export const handOverTransitions: TransitionTable<HandOverState> = {
  none: ['presented', 'retracted'],
  presented: ['taken', 'retracted'],
  taken: [],
  retracted: [],
};
