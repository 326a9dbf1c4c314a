/** `cardwright key ceremony witness | hold | verify`. */
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import {
  type CeremonyPlan,
  type CeremonyStepRefusal,
  CeremonyTranscript,
  faultsBetweenCeremonies,
  KeyCeremony,
  type VerifiedCeremony,
  verifyCeremonyTranscript,
} from '@cardwright/keys';
import { CeremonyTerminal } from '../keys/ceremony-terminal.ts';
import { KeyCommandFault, tellFaults, withVaultKeys } from '../keys/key-vault.ts';

/** Makes the witness's key pair: FILE (private, to be kept by the witness) and FILE.pub. */
export async function makeWitnessCommand(file: string): Promise<void> {
  await tellFaults(() => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    try {
      writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600, flag: 'wx' });
      writeFileSync(`${file}.pub`, publicKey.export({ format: 'pem', type: 'spki' }), { flag: 'wx' });
    } catch (error) {
      throw new KeyCommandFault(`${file} cannot be written (${(error as { code?: string }).code ?? ''})`);
    }
    process.stdout.write(`Wrote ${file} and ${file}.pub\n`);
  });
}

const explanations: Readonly<Record<CeremonyStepRefusal, string>> = {
  SESSION_OPEN: 'Another session is open.',
  NO_SESSION: 'No session is open.',
  SAME_CUSTODIAN: 'This custodian has entered a component already.',
  KNOWS_ANOTHER_COMPONENT: 'This custodian has known another component of this key, now or earlier.',
  NO_CUSTODIAN: 'A custodian is a person with a name, and not the witness.',
  NO_SUCH_COMPONENT: 'There is no such component.',
  COMPONENT_TAKEN: 'This component was entered already.',
  ALREADY_ENTERED: 'The component was entered already.',
  NOT_ENTERED: 'No component was entered.',
  NOT_CONFIRMED: 'The component was not confirmed.',
  CHECK_VALUE: 'The check values differ; what was entered is discarded.',
  NEVER_SHOWN: 'A component is never shown.',
  INCOMPLETE: 'Components are missing.',
  WRONG_PHASE: 'This is not the time for it.',
  COMPONENT: 'That is no component of full length.',
  WEAK_KEY: 'The components cancel out; the ceremony is over.',
  CHECK_VALUE_FORM: 'That is no check value.',
};

async function visit(terminal: CeremonyTerminal, ceremony: KeyCeremony, component: number): Promise<void> {
  const { components } = ceremony.state.plan;
  for (;;) {
    const custodian = await terminal.ask(`Component ${component} of ${components}. Custodian's name:`);
    const opened = ceremony.openSession(custodian, component);
    if (opened.ok) break;
    terminal.tell(explanations[opened.reason]);
  }
  for (;;) {
    const typed = await terminal.askHexadecimal('Component in hexadecimal (not shown):');
    const entered = ceremony.enterComponent(typed);
    if (!entered.ok) {
      terminal.tell(explanations[entered.reason]);
      continue;
    }
    if (await confirm(terminal, ceremony)) break;
  }
  ceremony.closeSession();
  terminal.clear();
  terminal.tell(`Component ${component} is in. Its custodian may leave the keyboard.`);
}

/** Asks until the component is confirmed or discarded. */
async function confirm(terminal: CeremonyTerminal, ceremony: KeyCeremony): Promise<boolean> {
  for (;;) {
    const confirmed = ceremony.confirmComponent(await terminal.ask('Its check value, from the paper:'));
    if (confirmed.ok) return true;
    terminal.tell(explanations[confirmed.reason]);
    if (confirmed.reason !== 'CHECK_VALUE_FORM') return false;
  }
}

async function hold(terminal: CeremonyTerminal, ceremony: KeyCeremony): Promise<void> {
  for (let component = 1; component <= ceremony.state.plan.components; component++) {
    await visit(terminal, ceremony, component);
  }
  const combined = ceremony.combine();
  if (!combined.ok) throw new KeyCommandFault(explanations[combined.reason]);
  for (;;) {
    const done = await ceremony.confirmKey(await terminal.ask("The key's check value, from the letter:"));
    if (done.ok) {
      terminal.tell(`Stored ${done.handle.id}, check value ${combined.checkValue ?? ''}`);
      return;
    }
    if (done.reason !== 'CHECK_VALUE_FORM') {
      throw new KeyCommandFault('The check value differs. No key was stored; the ceremony is over.');
    }
    terminal.tell(explanations[done.reason]);
  }
}

export interface HoldCeremonyOptions {
  readonly vault?: string;
  readonly usage: CeremonyPlan['usage'];
  readonly algorithm: CeremonyPlan['algorithm'];
  readonly components: number;
  readonly witness: string;
  readonly witnessKey: string;
  readonly transcript: string;
  readonly exportable?: boolean;
}

/** Holds a ceremony at this terminal and stores the key. */
export async function holdCeremonyCommand(keyName: string, options: HoldCeremonyOptions): Promise<void> {
  await withVaultKeys(options.vault, async (keys) => {
    const { usage, algorithm, components, witness } = options;
    const terminal = new CeremonyTerminal(keys.management.environment);
    let ceremony: KeyCeremony | undefined;
    try {
      const witnessKey = readFileSync(options.witnessKey, 'utf8');
      const transcript = new CeremonyTranscript(options.transcript, witnessKey, Date.now);
      const exportability = options.exportable === true ? 'E' : 'N';
      const ceremonyId = randomUUID();
      const plan = {
        ceremonyId,
        keyName,
        algorithm,
        usage,
        environment: keys.management.environment,
        exportability,
        components,
        witness,
      } as const;
      ceremony = new KeyCeremony(plan, keys.management, transcript);
      await hold(terminal, ceremony);
    } catch (error) {
      ceremony?.abandon('interrupted');
      const { code } = error as { code?: string };
      if (code === 'EEXIST' || code === 'ENOENT')
        throw new KeyCommandFault(`a file exists or is missing (${code})`);
      throw error;
    } finally {
      terminal.close();
    }
  });
}

function describe({
  keyName,
  usage,
  keeper,
  outcome,
  checkValue,
  custodians,
  from,
  until,
}: VerifiedCeremony): string {
  const people = custodians.map((one) => `${one.component}: ${one.custodian}`).join(', ');
  return `${outcome}: ${keyName} (${usage}), check value ${checkValue ?? '-'}, ${from} to ${until}, sessions ${people}, kept in ${keeper ?? 'an unnamed place'}\n`;
}

/** Verifies transcripts, alone and against each other, with the witness's public key. Needs no vault. */
export async function verifyCeremonyCommand(
  files: readonly string[],
  { witness }: { readonly witness: string },
): Promise<void> {
  await tellFaults(() => {
    const publicPem = readFileSync(witness, 'utf8');
    const ceremonies = files.map((file) => {
      const verdict = verifyCeremonyTranscript(readFileSync(file, 'utf8'), publicPem);
      if (!verdict.ok) throw new KeyCommandFault(`${file}, line ${verdict.line}: ${verdict.fault}`);
      return verdict.ceremony;
    });
    const [fault] = faultsBetweenCeremonies(ceremonies);
    if (fault !== undefined) throw new KeyCommandFault(fault);
    process.stdout.write(ceremonies.map(describe).join(''));
  });
}
