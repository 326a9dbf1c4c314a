/** Words, rules and transition tables of Cardwright. Pure: no I/O, no clock, no randomness, no imports. */
export * from './fault.ts';
export * from './hand-over.ts';
export * from './invariant.ts';
export * from './job-state.ts';
export * from './notification-state.ts';
export * from './order-state.ts';
export * from './pan.ts';
export * from './remake.ts';
export * from './transition.ts';
