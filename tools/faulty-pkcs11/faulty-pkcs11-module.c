/*
 * A PKCS#11 module that passes every call on to another one, and misbehaves once when it is told to.
 *
 * CARDWRIGHT_REAL_MODULE names the real module. CARDWRIGHT_MODULE_FAULT names a file: when it is there at a call of
 * the function that its first word names, it is removed and its second word happens:
 *   abort   the process dies in the middle of the call
 *   hang    the call never comes back
 *   lost    the call answers CKR_DEVICE_REMOVED
 * A third word is how many calls of that function pass untouched before.
 * CARDWRIGHT_MODULE_FORGES names a function whose output is always wrong by one bit; CARDWRIGHT_MODULE_LACKS a
 * mechanism (decimal number) that is always refused, although the module lists it.
 *
 * Written against the function table as the standard lays it out: version, then pointers; every argument is a word.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)();

enum { functions = 68 };
static struct {
  unsigned char version[8];
  function at[functions];
} real, ours;

enum {
  encryptInit = 29, encrypt = 30, decryptInit = 33, decrypt = 34, signInit = 42, sign = 43,
  generateKeyPair = 59, deriveKey = 62
};
static const word deviceRemoved = 0x32, mechanismInvalid = 0x70;

static int is_named(const char *variable, const char *name) {
  const char *value = getenv(variable);
  return value != NULL && strcmp(value, name) == 0;
}

static int lacks(const word *mechanism) {
  const char *value = getenv("CARDWRIGHT_MODULE_LACKS");
  return value != NULL && strtoul(value, NULL, 10) == mechanism[0];
}

/* 0, or what the call answers instead. */
static word fault(const char *name) {
  const char *path = getenv("CARDWRIGHT_MODULE_FAULT");
  FILE *file = path == NULL ? NULL : fopen(path, "r");
  char function_name[32] = "", what[16] = "";
  int after = 0, read;
  if (file == NULL) return 0;
  read = fscanf(file, "%31s %15s %d", function_name, what, &after);
  fclose(file);
  if (read < 2 || strcmp(function_name, name) != 0) return 0;
  if (after > 0) {
    file = fopen(path, "w");
    if (file == NULL) return 0;
    fprintf(file, "%s %s %d\n", function_name, what, after - 1);
    fclose(file);
    return 0;
  }
  unlink(path);
  if (strcmp(what, "abort") == 0) abort();
  if (strcmp(what, "hang") == 0) for (;;) pause();
  return deviceRemoved;
}

static word forged(const char *name, word answer, unsigned char *output) {
  if (answer == 0 && output != NULL && is_named("CARDWRIGHT_MODULE_FORGES", name)) output[0] ^= 1;
  return answer;
}

static word initialized(int at, word session, const word *mechanism, word key) {
  return lacks(mechanism) ? mechanismInvalid : real.at[at](session, mechanism, key);
}

static word our_encrypt_init(word a, const word *m, word k) { return initialized(encryptInit, a, m, k); }
static word our_decrypt_init(word a, const word *m, word k) { return initialized(decryptInit, a, m, k); }
static word our_sign_init(word a, const word *m, word k) { return initialized(signInit, a, m, k); }

static word passed(int at, const char *name, word a, word b, word c, unsigned char *output, word e) {
  word instead = fault(name);
  return instead != 0 ? instead : forged(name, real.at[at](a, b, c, output, e), output);
}

static word our_encrypt(word a, word b, word c, unsigned char *d, word e) {
  return passed(encrypt, "C_Encrypt", a, b, c, d, e);
}
static word our_decrypt(word a, word b, word c, unsigned char *d, word e) {
  return passed(decrypt, "C_Decrypt", a, b, c, d, e);
}
static word our_sign(word a, word b, word c, unsigned char *d, word e) {
  return passed(sign, "C_Sign", a, b, c, d, e);
}
static word our_derive_key(word a, const word *m, word b, word t, word n, word h) {
  word instead = fault("C_DeriveKey");
  if (instead != 0) return instead;
  return lacks(m) ? mechanismInvalid : real.at[deriveKey](a, m, b, t, n, h);
}
static word our_generate_key_pair(word a, const word *m, word b, word c, word d, word e, word f, word g) {
  word instead = fault("C_GenerateKeyPair");
  if (instead != 0) return instead;
  return lacks(m) ? mechanismInvalid : real.at[generateKeyPair](a, m, b, c, d, e, f, g);
}

word C_GetFunctionList(void **list) {
  const char *path = getenv("CARDWRIGHT_REAL_MODULE");
  void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  word (*get)(void **) = module == NULL ? NULL : (word (*)(void **))dlsym(module, "C_GetFunctionList");
  void *found;
  if (get == NULL || get(&found) != 0) return 5;
  memcpy(&real, found, sizeof real);
  ours = real;
  ours.at[encryptInit] = (function)our_encrypt_init;
  ours.at[decryptInit] = (function)our_decrypt_init;
  ours.at[signInit] = (function)our_sign_init;
  ours.at[encrypt] = (function)our_encrypt;
  ours.at[decrypt] = (function)our_decrypt;
  ours.at[sign] = (function)our_sign;
  ours.at[deriveKey] = (function)our_derive_key;
  ours.at[generateKeyPair] = (function)our_generate_key_pair;
  *list = &ours;
  return 0;
}
