/**
 * Puts a misbehaving module between the vault and a real token: it is compiled where it is wanted, passes calls on,
 * and dies, hangs, loses its device, lies or lacks a mechanism when it is told to.
 *
 * Invariant: only the environment and the fault file of the test decide; without them every call passes untouched.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { requirePackages } from '../debian-packages.ts';
import { type TestToken } from '../pkcs11-tokens.ts';

export interface ModuleFaults {
  /** A function (`C_Sign`) whose output is always wrong by one bit. */
  readonly forges?: 'C_Encrypt' | 'C_Decrypt' | 'C_Sign';
  /** Number of a mechanism that is refused although the module lists it. */
  readonly lacks?: number;
}

export type FaultyFunction = 'C_Encrypt' | 'C_Decrypt' | 'C_Sign' | 'C_DeriveKey' | 'C_GenerateKeyPair';

export interface FaultyToken {
  readonly token: TestToken;
  /** There from arming until the fault happens. */
  readonly faultFile: string;
  /** The next call of `name`, after `passing` more of it, makes the fault happen once, in whichever process it runs. */
  readonly arm: (name: FaultyFunction, fault: 'abort' | 'hang' | 'lost', passing?: number) => void;
}

/** The token behind the module, which is built in `folder`. @throws Error when the compiler refuses */
export function withFaultyModule(token: TestToken, folder: string, faults: ModuleFaults = {}): FaultyToken {
  requirePackages(['gcc', 'libc6-dev']);
  const module = join(folder, 'faulty-pkcs11.so');
  const source = join(import.meta.dirname, 'faulty-pkcs11-module.c');
  const { status, stderr } = spawnSync(
    'cc',
    ['-std=gnu11', '-shared', '-fPIC', '-o', module, source, '-ldl'],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`the module does not compile: ${stderr}`);
  const faultFile = join(folder, 'module-fault');
  const environment = {
    ...token.environment,
    CARDWRIGHT_REAL_MODULE: token.module,
    CARDWRIGHT_MODULE_FAULT: faultFile,
    CARDWRIGHT_MODULE_FORGES: faults.forges ?? '',
    CARDWRIGHT_MODULE_LACKS: String(faults.lacks ?? 0xffffffff),
  };
  return {
    token: { ...token, module, environment },
    faultFile,
    arm: (name, fault, passing = 0) => {
      writeFileSync(faultFile, `${name} ${fault} ${passing}\n`);
    },
  };
}
