/** A key slot inside a hardware security module, by PKCS#11. */

export {};
