/**
 * Known answers, by which `node.ts` decides at load whether an operation of the platform may be used.
 *
 * X25519 is RFC 7748 section 6.1, Ed25519 is RFC 8032 section 7.1 test 3. The others are noble's for the inputs 0, 1, 2, …, which
 * `test/crypto/backend/answers.test.ts` makes again; a platform has no other way to be asked than with whole keys and ciphertexts.
 */

import { fromHex } from '../../bytes.js';

/** One key and its agreement with a peer. */
export const X25519 = {
  secretKey: hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a'),
  publicKey: hex('8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a'),
  remotePublicKey: hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'),
  shared: hex('4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742'),
};

/** One key and one signature. */
export const ED25519 = {
  seed: hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'),
  publicKey: hex('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025'),
  message: hex('af82'),
  signature: hex(
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac' + '18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ),
};

/** What the SHA-3 family answers to 0, 1, 2, … 33: two hashes, and the SHAKEs' first 200 bytes hashed by SHA3-256, for they span two blocks. */
export const KECCAK = {
  message: sequence(34),
  sha3_256: hex('bd6d450c1e2072e614152d5e6344a0cf14ffb16ac8658d68176e3af0f737c9a3'),
  sha3_512: hex(
    'd448bdb045c8e0aa4df423222a8acec37da81bf020ceacc49c93ae374f205198' + '1406b736388de716f126d77385a051783833ad6ec3ec293137da493198c46c7a',
  ),
  shake128Hash: hex('dcd87e915f02465845529091a617c72ce96786232ee0f2c96a7360845b065920'),
  shake256Hash: hex('4da5491dcc8e1ce3fc3956b5066f16921f68ad8651def9112887089596b2f4cd'),
};

/** What an ML-KEM parameter set answers: a key, a ciphertext (m = 0, 1, 2, …), and the same with its first bit flipped. */
export interface KemAnswer {
  readonly seed: Uint8Array;
  /** SHA-256 of the encapsulation key. */
  readonly publicKeyHash: Uint8Array;
  /** In base64. */
  readonly kemCiphertext: string;
  readonly kemSharedSecret: Uint8Array;
  /** Implicit rejection. */
  readonly rejectedSharedSecret: Uint8Array;
}

/** ML-KEM-768. */
export const ML_KEM_768: KemAnswer = {
  seed: sequence(64),
  publicKeyHash: hex('0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9'),
  kemCiphertext:
    'cUlhrsiLsGI+tbADRRyj5M7+acnz1qONnBU4BninFz10NFhpO3UCxfMnvoSr7zKutHNclrFyTStHyqlDz+hawu5lFRODXsHaB5XJ3D1O97R98KHBEn4iut7Y' +
    '7OvxuNv/N38dHLOyQ87e4aoP54WwYW3mRnxTRW3SJ1vU4T1Zp3t7bFkeC7oBKoFMOn1H5dJ++m6RlvptwHfYa+j7PyOq2Sy2pQqDlG/L/aSU1mJ/jP9MSuMM' +
    'U2N9/e1NZdDywC+KesyRPWWtM9TdiBAPYUS6WOLFQ/uwIX6CQgh0uYFFiht5unIl7+pbzjZtj6o9Fn5Vb/POk3hI/fH1S+YeRpPd9fHorARP0ohgM8vPuooT' +
    '1TZjsngVz30uiGBJFU/II0WGE3G4bmUwP3Q22UVAB5mdlbsTqoVhxXFrZuB04TsKL2WJzCONOYvX6utA2XzsjEYE/YQnjiziW1BTLaBmz3PBG85rpjP24YSj' +
    '7GIkmStVd93DDibe0s3DRQrcCJXWu634JkiqKpbVQsOzI1WIX3iAeSXTgSdEEwgpKLUJ/Bu0KEHFs+Gp6ofbTsSAK0L8Q2bv6n52rYCP3It0/co8op+8nhaj' +
    'S312OgIh/pWalYS1N+GRG37y20Oqe+mgW9ylvCgDJvm1V5Eqf2Y9iaYzVO/QoL3sPpRdBXb8A8bvAKWZREpPx3M4GQb66kpZTwxstU/NkVhHJVMis/c9zKKC' +
    'vO1b8TbFaP2q2GteH/A1A6QeciaxgR1p8P5HaoTIybwVs8M5UM3uj9Qc5IXHVJgv//J9eh+jcqzZsOv07xEgEasQf3xG2AZq2GNRmg0viU6lruBVZ+dgv7EH' +
    'n2i05+7cG/IrSmq9S08VZ3QlusYG9vZOSsdT5cmW+kn3tDipURoVUHtw5nmHfe+W01phz1Pwqy7OrtZtrNjnOy39fgApf7mtEXI61TTmUu89/gzxNy6Y/0KZ' +
    'A3OngACH8+cwBhHMztA4dVlo/wpw/wOXdq/Mj/zZzCojTJlbjbm4fMepWK4Tp9iuUFXmLJu3tpgxj/EpKnTzYC+DiFXHxAFsG1fcWzRdnNYJRZo0iJV23LFi' +
    'Bja7QGM2GmwrpYZgqsrzZOIXlGnJNof+bi10wBvEUGn3pZ+n4RqT25mIuTuCw/cfz8pn20CKAWa0xGyxRBZ57WoM4DFweDHli50yPMDmlurphWU2rs/6HZ8K' +
    'tinPJC3coyhp5dtZ4EnY5++mBLPoWeGq1szCCJB5RyEJKPknaO78b946MIjexjMZwC92iP22TTyJeHgFCJw+aPLVyt7UVrXXuXZrbk+9QUNUuvPgdZ2rJHuf' +
    'gnHDjsbgHTZJpiwpe1zZqnV+x3AaDyv9ThWwMxu8trC7kZaHXiZchr0UK+rRyt2plxLePz0N+smg3+Q8dmSYeUl/TP1OHF5oTo/ze6zI1hj2WnALQfAXCGeY' +
    'L1pox1xlFQ4=',
  kemSharedSecret: hex('42f558b0bc5d700a911b0fc67f62376f7aee4667f1969e03f18bdfdf3c59fbdc'),
  rejectedSharedSecret: hex('9e51562e9a581c5c19710dd3157c0582ede68ffbf0769ec53ad7e439d1a9beec'),
};

/** ML-KEM-1024. */
export const ML_KEM_1024: KemAnswer = {
  seed: sequence(64),
  publicKeyHash: hex('c7b8fa0aa471d5ae18922d6ccad5b31e1d84f92ae723abfd13747018740a8530'),
  kemCiphertext:
    'N9FeijDK2m32o25AzkRebRjsuPgcO/d/765zsWYjkPYD7kXMcDEjxQ9Z8RaMrMxWXUMW4iwVlA+qaZpr1poBz8CqrV+wM+g8tnhxKVPal9K2+8jZtR7lGaM9' +
    'EUHlQix7RPhvL5aK6M1QvaoMZnqTWwmLCRH2fUtSljK7hurwNu6w4ur5k6RzJXhwnYasb+ESK2iBMMWSsed5QizhwJh/mz3EkkZFK3bEXi1NUi8GpiGZB5P5' +
    '6kGhf8GzemDWZ+YCSoOYPDgNlVx6uFVn2SgwRLz1nuYBGAuSUZG2YfqyJoRk12xxnGuxCpiPQSJCPufm9yWIlc2ZtQbM6Z12hCL+wCWQqdC/ODb3YQ7Ea9Sg' +
    '4DV2U2bljCUhNTI/Sk/YwLPXya9icO0+uKSFepJB7y9Bn5fxww6ioxz5SVM0P/ZAI7HKtZAabLtVy0JuVzdbTEBqW2OP4kCpxfEwhfPdMiZGfm7aIixTz4Ew' +
    'jhY6RWprEk68KC3ckMF5EH54+c0xd0L4Tm15yMlv5T480RGH4UmVUEhu3GG/mrHNXVzk1P0WvU3sQuuCLBGwk2jmcND5q9LKtk/WPHEYP9FdyShBaxQqJbVV' +
    'bfNDDTcg1pTYo65hiZSTLHQQlNGZmhRzNecFJG9EnFYmfvsxKngwO8W6NIZw11AvLMY33+v3gPPSy0io6fS34vhaJ8fNtywcDjIfc5ZbYT7jnPVu3OBmXnl+' +
    'FXxiLav64KLr4tZuEN7V5KB7mP0sCp9VAy0dDIxE+c3o/TbSiHtwoIi6oonuJoourKjk/4ntmTCgI3BRUrum1b/xvjb4Qnr+o/5UjJuEw2rNZ3J/PMdMNVXF' +
    'F6rtRoc627DZMX3MbffyMngacGldGbH9bADRm/m0Tm+emzBpAxLtdpFC/huEsXnrOnYQUVxymTlHOHeCWVyzD+0SKAOuPz1R2PmQ1mh26YRf9WQVxSBVSQT4' +
    'N8RQmHZZxirXRZcc9E6PZtNLkrpJhnoCS6XIFd0y6Sw9+52ZlSbVU9walCRdx+1xwAn+N5/kAOA1pw/mTLd49JWUUQ1AGfnUBJC3R7Ymk/O0U2HpLLgkLTt0' +
    'wWMStIWzwdRlZV9xadIj788659A5bsy5ftz1eLyeqbXEaOnGoAgR6F3FGzIF0eMqERLHBMsAcM+eJ9fHiPSj0vgcDf2bUrk2qRlcXNhmBJP/xv5bLsS45NIt' +
    's8gG3tzhVGNZRxpxtX1LOFTKBhlnNM6Bpi+LpCKakwthyxdgYviSbQbO5WXXz/fSPpAXuhqECM3Ro3H6CDEDSJfWqMM1IfMmBW1yMQVfyLY3k9D62ZY9z2L7' +
    '9FocM+wdfhpALthjCVhXgTTsK49Q7aHzuvHgMlL1uHuIiiQSM8yGuFg2wXS5WHdhmi55Kg6w+5OjHETe/Ox5Rt/HCl/i/cPlhp+JQ0+cnU2GziSBN1bl+t5D' +
    'o5Duu2VkYWzE8NIzcWUU2D1wUkXoZEZw6aom+vYS4ZokmqXXDE2lJnRv+XpTQclc3r3a6hkzcPXSryURKgPaFgMNo5M+aUyRoH+HFSTCOL7X7SUMvZRtfEUZ' +
    'C15QqcpLDbRyc9QixA2758xg6kLDxLNZ5/GoQPoStKyFH9zs4B8LA+UD0T1wNlDbibb29TySbS5de+e7XVFFcMMew7tInPYpt0PjzTrNyMl84v70Zu8nPNAE' +
    'zSHg/+ZeBO2Ib3yoWBw2O+2Tbrssa3cmVAmLPN/9GKnrLvO/gcb1m9mNqG5Vt9FUbaPfnx3n9Q4Q586rZl69pW+FSaE1JKTdG2ZcmvuSoXnEUSHnzoxgJ6R8' +
    'bmZQDqnC9PKKYJB1BLB6XEoNQaxLZ+FWTRKsxzri2xsPdNSuNQs5AKXYFRrQ5ycGvQqPDZHm8nHj/zDHqV/NVCQuUf1F0Q7bv3ynnS+VoWYXNOUC6noriWFB' +
    'FLGfofDCWdGA0NggdfYXeMXWSlLge/0xEbaKKVIjvoh85iJmnyny9dChQY8UqtnX0xdZymMAmOIB8g+EgkCTiQbBjb/+5wckmSTPhr4o2HGd0zPUv/rhXelO' +
    'xHwtkWaOlRRXL6IDRwwIWhmeO68DrfGrj4bqRij4U4DuiVPUoa0=',
  kemSharedSecret: hex('738a88cd9a25861e9a37c65a67ec1b39f069aed9646ede89410ace47a96a9b57'),
  rejectedSharedSecret: hex('4330194f742a4ba75a496a26fa176970e79907a36df3f69884c63a1664036299'),
};

/** One ML-DSA-65 key (seed 0, 1, 2, …) and one signature with rnd = 0³²; key and signature in base64. */
export const ML_DSA_65 = {
  publicKey:
    'SGg9kZeOMes93biwRzSC0riKX2JZSf2PWKVh5pa9TCfQWzjbsu3wHmZO/YG+HqiTaIzmiqLVHFlY+LvG606J7mfSwDIJVNVyEsrHIp/x1urwOSi9UVEfjYjY' +
    'R3NsfeJzDVl45UEHExYJeIZ3Eb9VOaC/xMNQwr5XK68O4uL7Fsz+oIAo2ZrEmuu3WTfdzhEc2rYv/zzqi6IjPR5W+8XFoecm3mP63SrwFrEZF3+j2XGi2Sdx' +
    'c/zlW2d0WvC3wh1Zfb65Pmoy80HEmlqL6eglCI0fKqRRVdbIrhU2fk6wA7j994UQcZSXOfn/8JAj6vRRBNKoSkWQbu1GcaRNwo0nmHu1XfaenoVh9hqApyaZ' +
    'UDhl/tm37nKo4XoZxAgUT0spr+9wMcOm2FcWELQsn0ISRaiPGX4WgSsDEVm2W5aH5bPpNMUiWumKebpz0rOZ1zUQ7/rRnlO4RQ8LqPzhAS/ZjSYKdKqqE/ri' +
    'SaAGscNPW6C4gvJjeCIvs28ig8JD8P/rXxu0FKCnDVXj1ApWtsvIiuHwO3sogtmN7qKOFFyd7f2OrxzvLtlKiwUPiWT0bR6g0MKkPg3aYYKtv09u0XW2dCJX' +
    'hZvyLzpBfs8fnYkxe15TnVh68WueExPgRRT/pkuos/8rgyH4gRyz+wIsj2ROcKS4Ci+/7mBKu3N5CR6o5sXHTfwCg2ZrQMB5OHACggShNr9dqVaOt5jTSQOL' +
    '2wwR4DRF54R8tQacdc8orGAcd5nZWCEN28siblGv758d5HsHOHPW0/l0Vr7eCFCC50opiyzUj0swkxVfNmyPpgHGr4WN+jLAhJGyopiH+QM1lJpdbtqmeYgq' +
    'OpXWv22XCiIfS509jL84SvgarJXisylOBHiayDcnpdwEVZ+Wr0HYoFNRb+7uvFJ0brarKBngkQhxDYNfAR+mMGWHKtM01c3/srIxBQfpL8mTrjF9qX9PMJza' +
    '8PZ+2Z2QIVV2CDhJ+VOyRtf+2z/bZ2eYUKWtQE5kFH+3z09q7d0Fr7S4NJaNH+iAFJYNzl2UIjZSbhKkeNaeX75pcDELMIwGhFAYz8eyq0MKE6axrHuwLMy7' +
    'PZEawvEQaGE/vgKb/c4Cz1zTiVDtcsg5RO37x1YVr4f4ZMBR88VUVsVBKGOkDAbR2rVivf8FcbjTw5F7vTAIgLul6Zgjm5X6kbfWQW1POYs6280wmD7TWStN' +
    'nvfUI2/QD1DZiqU6I1rEFycg932WFyZymAz+j/elpwJ4PtwroxsiWQFaES/H9GipwvlGQDkALTDvZ4tMt5i8EWIWv3qafBi6A7e1j9B1FdMRUEnTYUvnoH50' +
    'QwB1DfHSxYdTOJBZ6vw9eFzN0xwHZIvtwDpcO4rUbQZNWcE9VzdHKfxOKVNi4qUZEgRTBCi8FSKvoo/1/hZV4wTKW8jCetDgxqOd1N8olWwUs4zJNoLO/kAr' +
    'vV6C0pxGTkTrXTe0j8Vo3+DMbo4WuuoF5RNVkPGSlOc+g2ewIW27gVAwud5VkT8IA5xCNRxZ5VFd1a+OCJoV5iXo9t7mOThsRkl9eiYyiHdN5YGn3pYptBtE' +
    'JBQfl4+4MxII797DxuDeObxXBj89zWxHA3PAiJHqKcvHzG1kg7iIkIOs6GqntRscLP5uKtGNl842+8VupC+ul+anrBFIZEeMNm3x67HnsRqQmFBP1Zdb3x9J' +
    '3HAAK2PBc5qdJj+61Ac/ap9sK4r0tMMyoQOgz/pd7rLQYso8IV/TYAJr58UWT0pEJO90lIgE1m9GSHcyyCAseVR4ZHtOpx1ifAhgJMyjVKQfCHezjxmzd0rS' +
    'CVyNpTsGniHHauLSAH4WcZ7UAIDTNPfaUun1pZkEOcrwg6lbgz8CrRCgjBptDyYMAHKFvUovR3A6Wu9GUofSU7GKwiUUMWIQ/1ZoFLEPh6KT1vGZ08OVmZDQ' +
    'wSaLT1DV+fzvu/I3vQwouAGC1mWXQfFPEL+7IbuhKrYgqiOW9WwGhrTqkBeZAiQhay/orXbEqRSO75qGo2Naaqd7wdz7b7pZp339qbdTDcDKhkjI2XNzjgG6' +
    'uPCLSQXoSqRkG9YCQQzZdSAmXy8jHys14V6y+gTSvZTVp3q68eDhYQEKmQCH9bRuqYiyvAUS/aD6kj2t1sRcUwHQlINnMmW1qy4Q9LpSD2u61WSlw9Xie9sI' +
    'D30g4TKWoxgZVMOcZJyUPr4X31wfeq4Kj+EmxHdYWl1NZIoNAItq9ejNMb5pqSltTz/SXthvIh5Lk/ZfWSmWdTNiS5I1dQwwcHVQtYU20QmnExxaW75KVxVW' +
    'fBJTSux2YHYe67n64okcd0WJuA5WatVX3e9zZxlrcifqmHDvCd3+x51rkxmmh5tSBddr96ulrPM6+1nRf8VOaDg9a+Wgjptm2lPc3gCLspS4WCvRMs3MSZWf' +
    '28IeUnIYgMitA1LHnwOkO72ExM39xsUpAF4efNmjSacWijVWm6XeqBiWjVqRRmvW5k4gv2JBcZivxOgcKN137UAoIyOYtS+96GvIT0dbkBZxDOKqvBGga026' +
    'yQHsFs82XKPy1TgTlIppOg+T55xGyl1abco9KMpQrRi9E/ylUFndmxhfefnEcZak6BshBLxGCgUeAvLoRE8=',
  message: sequence(32),
  context: sequence(8),
  signature:
    '1e8NStHI0AXEnBNVPV3EpKsLMhzF/VG8shgAmV8ZG9mm3Dp/SZMz7UFelyI5ECXke8/bPwIhqT8Y1rmmCbE68iCFnx8QNvJfu8SxExSnP5Raer4PMA6BX5La' +
    'H6/VzpoF4CnFTF8s6ZhJgBz9fJYi/nQQ+7XrQ7DqEt2i4X+L75SMFzeK2tZzTFA3x8sy8WjY3ZPpMGhJcXmsgf2xggVP1wcSLZ7teOnDSPvyaZErpehiUl2u' +
    'O5/JYy/CnG/8Uw//uvw3jsd1oOTucwYNDsRMnlHDiqkCwae80BHe7JX/sxFupIZddoQHnvnZ7Gd3VQJuygxxB7jzUxGLLJ1YL/IrYTA+Ti/CVokXl81nmWx7' +
    'vdqkymvh5Z7ORQxbCz6bpzu0hMKAXM8237EyJLwnYo/DPLcfctUB9xlS6f3K5lzQK9K6C6etjFyHIEsjbsCA7+LuI6vnDH5XQo16ZBIhsn8PytVM2CI12KWR' +
    'jYKr1QoHiJyEbrfwkNlkYg25/MWiDYUg9p3FKMvqyof0Of/YgHIh3ql4GYUU9xQZbaB2moe1U8CAIFhPHIXjsdrsoTNwMzSWM0P1haAch4wenJ7lNYKq7BwS' +
    'pjyBNNFYubcfvwTsQzkBiLDXYFoji4n4rBAt53VDmOZAZmY+p9jwfhJr7YWqb9RYdEm/52QxODPGs6HWym04uJGKRmeDx5Jsd7M2oIbkTMZ394ZvNzY70xwZ' +
    'hgqr9s91Qwl+YFHjN39zenPzeVJ9kay5r4MbgFVXnND39XGaZXmp6o55iKprFsSaoFFFrkNQngbFvkg7k0RJwHyTQv/N9T8/UVZDwpBGKLLbkdcew7MxBArX' +
    'C/097+E+x9w/LxbWHEAIuKD/7i+4hH5jjwyV/hXZQ0CANoWL1vbgJ3s4JXLwJZ5CjRC/iFLPsvzIBYARC6OumDWMMTm48AUt9uRDpLzQca3rylLl7hNhI6oz' +
    'lQqU2M6W3OjU89ED5RbzDAo7YABrjNZ8fqcnfZdbYZsvC2b7vE9k3+XJjGRjcnLd9iN780kYL4txbZJ+rUQ/ulKLYbDw2hYSSieVTd6jcQZk19Fpw3YatFN/' +
    'Tqr2qij9GFvekHmAg8VNgJYnGx/YfsH8fgnF/Mefe47axLcdSDmkkm1mSyiKNSQszHbsOwUhat5tXgFrHUeuheKZBDZzURKHgpcQyz9HrvM66Oas7+6u09f+' +
    'XgJ+JOOjrnUXFxQRlulPrExLRM8ZW+KBLZaS4z5UvUWvIQhU98pXV3G6iIbG0ptfbZsaL3cFtea74JOIexSwYTP8/CJmks//gG/BkXoMAwVjBj8ErzsJIIZZ' +
    'yytrX0s6E/rj8oWPLAwdloUKzlNwLHR7HK4077ujazYfqzqRD6iH0ODw7LGu/YiSGzCIBYeBSkgm5dg7KqjyXMapIZ7+S81VHq7AjQ/TOJvJ2l8LsIgeM1dt' +
    'yzyrpxYVpsBv1Tn1U54gHfZscAbeChc5buOAK1tj6/0HyJ+mE2L8r2zaI2RiSiuNJ1HndE+CBJCLFgNUcBm4m0XA/1n12Ej6tckwr3T5YiNPYGvdMlNwWtYH' +
    'A9kFcojxHXVgxHgvQw2JSMhdjAW4ew2AZu9xL81lUqFcY63uU3VzgUffFTc9zE+gJ0DGtq2BxC23jyokpGpiY8wwXjrpMmwhHmrvJshZODBHub1fAYWdg6d5' +
    'thEsUwQVNzGZJb0iDTOR3DXs87VTad4TdjgNRG0iuP2gTwFng1uBZ4TwAVMUdg6TwErvzrRYusRv2ZtaClSBqsRMjcP0PYyiNXfdBZEs+lRUBGBzwDL2WTUU' +
    '4GZlw9eWlhjrw+zRbOTS91684IMrrGVVtkt2MV0xcLulfi16oAgzdYiWMap4v7q2hePAI3SydyGDJe7/h33xMV0Z3xxcoVXoaIx4xxw7D0sm3Rs6NKzoueE1' +
    'z5Qmuu0gFvBAWk+SZi5n6VDR2DE/exJEN0IGuT8kosRXoNJ+BElXi5xBRiYE0FUbDbEBYPWfSnfhTdljhIFYp+pCnPEAs8wbU0NPeX/+rFn2O3p/INnKqHhi' +
    '7nxN43Q6kJ7SbLHrae2oan+62hskPG0kD/BOucjvpHxcaPtUvnOoCuU04eKSkjp9ZV8bp8I7oL+FrJoCiJnizXzRQSD07s/3s0JsDrR0gH3J1nZMl6uynitl' +
    '6bqqSVKnyKEV0B9xXnBAhLjtA6MVlo3ymtdOiqmZoKc75v9bz3rsw07NHGziXYfRFBqnwM28hIOLHPKkfax3aDHJqrAEFOmmQv+dKzkW7X7Nw3wXX62I4eKF' +
    'KVzcz4+iprEO/4RY1zs2RSvh2wSzrXQCmUpP9O/eTCMNJAcZIL+G0Kj9yhh4nzDVmjV13AjG/jab2aCpw3NzXTwvJT2D7llAQNx1jEYEyi5ff1UQzycIrzCM' +
    'HKooxVfWjtN6W/kaWqIbHUFk3qyV/CUR//KRzexKTLSLy2j4a75sRXMmJv2s5zI0FqJ0tn/rfSUk08ULEie34KaIL22JoIsDjTZYaE2+jkwlIZ2Vv5fgpZBr' +
    'y2HuWsmXRoTkfgA2Pdb4rIlC3OvFgZBifTV7Nvl99/UYEMvg3Kk4f2hAJ48udCQaG0CmKNmXXkubnbZiMMF+OK5EntriSOZppXFpPBXMzD85zeo/OgscL5v2' +
    'i6R9wPaEzXIKn0t2n9/0Abnlz0R0wtGQQ384tDk+5GAMft2+SXV6d592vZMZ3SC0mtHhWZz8+CfuwnX0adDHUA1tLy2J1Mu/uvsRu5jUCKAhPPCpWMY3Oe94' +
    'cGxtYY8PqEUHyCw3rIi45wmfHfIXUD3m2rMhYnnuvLEk+TdhqhO3VVDBLSBCSoGkSrd0BdB/1gyJfai34geKB1D2nn/Eq+cVLZ9uzKuHdN7Qts6wtzevo4Sk' +
    'RkvbOilzbPvhxq2MhTHnE8FwGHxauZAbmJ4VhkLvW+CO9xbRYsxD6Xx9POcN3fqm8/oDtCqWrLxi6kCGdsG7i5LevJF9Hk8zu/TO4H/AV4rinmUBUmG3YamY' +
    'drENIuSV59t7wc/7jfhSQRhsNPpfzEkUuwPBfliJfiQP3sD6j8hmMNt3wgXPqEoEnpugb6QjcELYXtbkA5Va2mBXnpQjdDRXwvgo+Nba+Tqzy5Ekd+1QGVOL' +
    'TyPP9Eam4qUUydrLU10n4vCV4QH5Xuc7PD8cWjFi+7tar/419XhnskNSFvW4obnB/9fQuYStOT2Ww6h6YgI6Wft5Nv3Sb4PUdCFnAHb7jn7qEo7a2XQQGgLf' +
    'PU4Q6jR2HI3UKGiauadokHXMahKwI0/CsbmPCVX6smuLLPepGtLS9+89/Nyc2jErm/n9BJjWK5pevpCpfu9s4hPADXOvGL9FcZK9vFWaUGFnvrhU/s1l7Acf' +
    'aw5HOg3igmyrXC5JDU53ppRWfo6umcga1SRKZL+kTs3m5631f6XDgutG/C/sx6FDZt8S5qZSGYtaTK77jTnD1DqdIfScVJkSKJPjMsIP0yzASHlLYuW/GJxS' +
    'jXTd+A72kvhDvdwrIuhcyi2t2JnZpZ20uI+iCMCKfvncytrXsJdXmNZs3EgqZh8sUrhJa4NTFzlsMQp/JukmPdZICgmBJb9v5YLm8/WbiIIcqFpB93cHSiz6' +
    'IHLQ3JWxLo8fg5Xxiq7/iJYNSuSlZSFThuL7tE3wjZmhAyrUUJdqHG+6PbZQTu6aL3NRuHZ2oj+ppXKC/lXbaSAcBeSRgYAntVGNPM6pjsiLUWUqxphv9MD9' +
    '69ZOAL/OiNipQAQg1JlXajY+9kTnTQzUtM/UX+LR1SsOapTw2h9d7ivp2PeratQP8Ylkw6al3+VPcEw9KCTSCSBP3VvY0LmlawLrDveWbtf9s9lorfU+tZju' +
    'cEDtGDT/T8H6rVfgw2KXkkrtVTiMRH5eH43PWYw+1MBCnkxuB+FE2BC/V8V+ZHEhNl/nJOzS7l+IqOa1JyDAFIfiA1U6iGrK5sGy4MHPlfvRjgneIk7rq2Ej' +
    'GKmnCaykWVvpt1hr1tjntxrQ1AQnrxGIVgqNJH1VpZjti47kjbRKEzMRnlkHTh2+QnoR3Xi0n6dqOy5Y5K30SYMHM9Vw/WZ71SNCIWkX1kN2uqYZVeYLNHYY' +
    'RGokCfU+MD562dPxCc9yRnXMOik7ZYEdaGzsZ6aE6FQRFCAZkiq1h4YK2k16Yv7QBGPLFbQd7JEFTJE5c6GHhp9LWMPRqBwkyxEh0PSPekAhBJ1oUmsmBAns' +
    'SrQkGYCDCvv1xGPgNbqIXi83/smHhhcHpHWluFPz5RCkuv5Pb+d7DwFsZU1drHVLvnXlkwoCBUYA2ElWcmdgQUq3bdwM0vHMWBiG3I69QDNpXQ0d6INbPn0F' +
    'Meic0BWQEk4BVFV8fX/tAAsNFFhlHISzC0FOYmebE2uE/z1JW2yXw90AAAAAAAAAAAAAAAAAAAAAAAAAAAAABw0QFhoh',
};

function hex(text: string): Uint8Array {
  return fromHex(text)!;
}

function sequence(lengthBytes: number): Uint8Array {
  return Uint8Array.from({ length: lengthBytes }, (_, i) => i);
}
