/*
 * The braid: two parties agree on one key per epoch, in chunks, over a network that loses, repeats and reorders.
 *
 * This is the braid's state machine with the cryptography left out: a seed, an encapsulation and a key are fresh numbers.
 * README.md says what every assertion means and what is not modelled. A name in brackets, such as [KEYS], marks an assertion:
 * scripts/formal.sh prints the one that a mutant breaks.
 */

#ifndef EPOCHS
#define EPOCHS 3   /* epochs that both parties complete before the free network ends, at most 6 */
#endif
#ifndef SLOTS
#define SLOTS 2    /* messages in flight per direction */
#endif
#ifndef INDICES
#define INDICES 3  /* chunk indices before they begin again, at most 4 */
#endif
#ifndef N_HDR      /* chunks that each piece needs: any N of the INDICES */
#define N_HDR 1
#define N_CT1 2
#define N_EK 2
#define N_CT2 1
#endif
#ifndef MUTANT
#define MUTANT 0   /* a seeded fault, 1 to 11: see the places that name it */
#endif

#define MAX(a, b) ((a) > (b) -> (a) : (b))

/* Rounds, a message each way, within which a lossless network brings both parties into a new epoch from any state: one enters
 * the epoch, then the pieces follow each other, but ek and ct1 travel side by side. */
#if MUTANT == 11   /* one round less, to show that the bound is tight */
#define ROUNDS (N_HDR + MAX(N_CT1, N_EK) + N_CT2)
#else
#define ROUNDS (1 + N_HDR + MAX(N_CT1, N_EK) + N_CT2)
#endif

#ifdef ROWS        /* the verifier names every row of the tables that it comes to */
#define row(name) c_code { static int seen; if (!seen) { seen = 1; printf("row %s\n", name); } }
#else
#define row(name) skip
#endif

/* States: up to EkSentCt1Received a party holds the seed of its epoch, from NoHeaderReceived on it encapsulates. */
#define KeysUnsampled        1
#define KeysSampled          2
#define HeaderSent           3
#define Ct1Received          4
#define EkSentCt1Received    5
#define NoHeaderReceived     6
#define HeaderReceived       7
#define Ct1Sampled           8
#define EkReceivedCt1Sampled 9
#define Ct1Acknowledged      10
#define Ct2Sampled           11

/* Message types, with their numbers on the wire. */
#define None     0
#define Hdr      1
#define Ek       2
#define EkCt1Ack 3
#define Ct1Ack   4
#define Ct1      5
#define Ct2      6

typedef Party {
  byte st;              /* state */
  byte e;               /* epoch */
  byte idx;             /* next chunk of the piece being sent */
  byte dec;             /* chunks of the piece being received, one bit each */
  byte seed;            /* the key pair of this epoch: own, or the one the header came from; 0 before */
  byte m;               /* the encapsulation of this epoch: own, or the one ct1 came from; 0 before */
  byte newest;          /* epoch of the last key emitted: the chains 0 to newest exist */
  byte out, in;         /* chain epoch last sent with, last received with */
  byte key[EPOCHS + 3]  /* key[e], emitted for epoch e; key[0] stands for the handshake's secret */
};
Party party[2];

chan net[2] = [SLOTS] of { byte, byte, byte, byte, byte };  /* net[p]: sent by p; sorted, as the order means nothing */
chan aside = [SLOTS] of { byte, byte, byte, byte, byte };   /* empty between steps */
byte fresh;                                                 /* the last random value drawn */

/* The step under way: whose it is, the message, and what a receiver learns. All are 0 between steps. */
byte p, type, epoch, chain, index, piece, half, goal;
bool whole, ack;
#define ME      party[p]
#define PEER    party[1 - p]
#define MESSAGE type, epoch, chain, index, piece
inline clear() { p = 0; type = 0; epoch = 0; chain = 0; index = 0; piece = 0; half = 0; goal = 0; whole = 0; ack = 0 }

inline emit() {
  assert(ME.newest == ME.e - 1);                                          /* [ORDER] every key once and in order */
  assert(ME.out == ME.e - 1 && ME.in == ME.e - 1);                        /* [LIVE] both chains are the one before */
  ME.newest = ME.e;
  ME.key[ME.e] = ME.seed * 16 + ME.m;
  assert(PEER.newest < ME.e || PEER.key[ME.e] == ME.key[ME.e])            /* [KEYS] both sides emit the same key */
}

inline enter(s) { ME.st = s; ME.idx = 0; ME.dec = 0 }
inline enterNext(s) { ME.e++; ME.seed = 0; ME.m = 0; enter(s) }

inline chunk(t, n, id) {
  type = t; piece = id; index = ME.idx;
  ME.idx = (n == 1 -> 0 : (ME.idx + 1) % INDICES)                         /* n = 1: every chunk is the piece itself */
}

inline send() {
  epoch = ME.e;
  if
  :: ME.st == KeysUnsampled -> row("send KeysUnsampled");
     fresh++; ME.seed = fresh; enter(KeysSampled); chunk(Hdr, N_HDR, ME.seed)
  :: ME.st == KeysSampled -> row("send KeysSampled");
#if MUTANT == 9  /* every header chunk is of a new key pair */
     fresh++; ME.seed = fresh;
#endif
     chunk(Hdr, N_HDR, ME.seed)
  :: ME.st == HeaderSent -> row("send HeaderSent"); chunk(Ek, N_EK, ME.seed)
  :: ME.st == Ct1Received -> row("send Ct1Received"); chunk(EkCt1Ack, N_EK, ME.seed)
  :: ME.st == EkSentCt1Received -> row("send EkSentCt1Received"); type = Ct1Ack
  :: ME.st == NoHeaderReceived -> row("send NoHeaderReceived"); type = None
  :: ME.st == HeaderReceived -> row("send HeaderReceived");
     fresh++; ME.m = fresh; emit(); enter(Ct1Sampled); chunk(Ct1, N_CT1, ME.m)
  :: ME.st == Ct1Sampled -> row("send Ct1Sampled");
#if MUTANT == 7  /* every chunk of ct1 is of a new encapsulation */
     fresh++; ME.m = fresh;
#endif
     chunk(Ct1, N_CT1, ME.m)
  :: ME.st == EkReceivedCt1Sampled -> row("send EkReceivedCt1Sampled"); chunk(Ct1, N_CT1, ME.m)
  :: ME.st == Ct1Acknowledged -> row("send Ct1Acknowledged"); type = None
  :: ME.st == Ct2Sampled -> row("send Ct2Sampled"); chunk(Ct2, N_CT2, ME.m)
  fi;
#if MUTANT == 2  /* the message key is of the newest chain */
  chain = ME.newest;
#else
  chain = ME.e - 1;
#endif
  assert(chain <= ME.newest && chain >= ME.out && chain <= ME.out + 1);   /* [CHAIN] the sender has it, none is left out */
  ME.out = chain
}

/* Adds the chunk; `whole` says whether the piece can be decoded now. An index that is there already changes nothing. */
#define COUNT(x) (((x) & 1) + (((x) >> 1) & 1) + (((x) >> 2) & 1) + (((x) >> 3) & 1))
inline add(n) {
#if MUTANT == 3  /* completion is tested neither on the first add nor on a duplicate */
  whole = ME.dec != 0 && !(ME.dec & (1 << index)) && COUNT(ME.dec | (1 << index)) >= n;
  ME.dec = ME.dec | (1 << index)
#else
  ME.dec = ME.dec | (1 << index);
  whole = COUNT(ME.dec) >= n
#endif
}

inline addHdr() {
  if :: ME.seed == 0 -> ME.seed = piece :: else fi;
  assert(piece == ME.seed);                                               /* [HDR] all chunks are of one header */
  add(N_HDR);
  if :: whole -> row("Hdr, whole"); enter(HeaderReceived) :: else -> row("Hdr, not whole") fi
}

inline addCt1() {
  if :: ME.m == 0 -> ME.m = piece :: else fi;
  assert(piece == ME.m);                                                  /* [CT1] all chunks are of one encapsulation */
  add(N_CT1);
  if :: whole -> row("Ct1, whole"); ME.st = Ct1Received; ME.dec = 0 :: else -> row("Ct1, not whole"); ME.st = HeaderSent fi
}

inline addEk() {
  assert(piece == ME.seed);                                               /* [EK] the key is the one of the header */
  add(N_EK)
}

inline addCt2() {
  assert(piece == ME.m);                                                  /* [CT2] the MAC over ct1 and ct2 holds */
  add(N_CT2);
  if
  :: whole -> row("Ct2, whole"); emit();                                  /* FIN */
#if MUTANT == 4  /* FIN stays in the epoch */
     enter(NoHeaderReceived)
#else
     enterNext(NoHeaderReceived)
#endif
  :: else -> row("Ct2, not whole"); ME.st = EkSentCt1Received
  fi
}

inline encapsulate2() {
#if MUTANT == 10  /* the key is emitted with ct2 once more */
  emit();
#endif
  enter(Ct2Sampled)
}

inline receive() {
  assert(chain <= ME.newest && chain <= ME.in + 1);                       /* [CHAIN] the receiver has it, none is left out */
  ack = (MUTANT != 1 && type == EkCt1Ack);                                /* mutant 1: EkCt1Ack acknowledges nothing */
  if
#if MUTANT != 8  /* a message of an earlier epoch is taken for one of this epoch */
  :: epoch < ME.e -> row("earlier epoch")
#endif
  :: epoch > ME.e -> row("next epoch");
#if MUTANT != 5  /* Ct2Sampled ignores the next epoch */
     assert(ME.st == Ct2Sampled && epoch == ME.e + 1 && type == None);    /* [AHEAD] only as the answer to ct2 */
     enterNext(KeysUnsampled)
#endif
  :: else ->
     assert((type == None && ME.st <= EkSentCt1Received) ||
            (type == Ct1 && ME.st >= KeysSampled && ME.st <= EkSentCt1Received) ||
            (type == Ct2 && ME.st >= Ct1Received && ME.st <= EkSentCt1Received) ||
            (type == Hdr && ME.st >= NoHeaderReceived) ||
            ((type == Ek || type == EkCt1Ack) && ME.st >= Ct1Sampled) ||
            (type == Ct1Ack && ME.st == Ct2Sampled));                     /* [LEGAL] no other message meets this state */
     if
     :: ME.st == KeysSampled && type == Ct1 -> row("KeysSampled, Ct1"); ME.idx = 0; addCt1()
     :: ME.st == HeaderSent && type == Ct1 -> row("HeaderSent, Ct1"); addCt1()
     :: ME.st == Ct1Received && type == Ct2 -> row("Ct1Received, Ct2"); addCt2()
     :: ME.st == EkSentCt1Received && type == Ct2 -> row("EkSentCt1Received, Ct2"); addCt2()
     :: ME.st == NoHeaderReceived && type == Hdr -> row("NoHeaderReceived, Hdr"); addHdr()
     :: ME.st == Ct1Sampled && (type == Ek || type == EkCt1Ack) ->
        addEk();
        if
        :: whole && ack -> row("Ct1Sampled, EkCt1Ack, whole"); encapsulate2()
        :: whole && !ack -> row("Ct1Sampled, Ek, whole"); ME.st = EkReceivedCt1Sampled; ME.dec = 0
        :: !whole && ack -> row("Ct1Sampled, EkCt1Ack, not whole"); ME.st = Ct1Acknowledged; ME.idx = 0
        :: else -> row("Ct1Sampled, Ek, not whole")
        fi
     :: ME.st == EkReceivedCt1Sampled && ack -> row("EkReceivedCt1Sampled, EkCt1Ack"); encapsulate2()
     :: ME.st == EkReceivedCt1Sampled && type == Ct1Ack -> row("EkReceivedCt1Sampled, Ct1Ack"); encapsulate2()
     :: ME.st == Ct1Acknowledged && type == Ek -> row("Ct1Acknowledged, Ek"); addEk();
        if :: whole -> row("Ct1Acknowledged, Ek, whole"); encapsulate2() :: else fi
     :: ME.st == Ct1Acknowledged && type == EkCt1Ack -> row("Ct1Acknowledged, EkCt1Ack"); addEk();
        if :: whole -> row("Ct1Acknowledged, EkCt1Ack, whole"); encapsulate2() :: else fi
#if MUTANT == 6  /* Ct2Sampled takes an acknowledgement for the end of the epoch */
     :: ME.st == Ct2Sampled && type == EkCt1Ack -> enterNext(KeysUnsampled)
#endif
     :: else -> row("ignored")
     fi
  fi;
  ME.in = MAX(chain, ME.in);
  assert(ME.e <= PEER.e + 1 && PEER.e <= ME.e + 1)                        /* [GAP] the epochs differ by at most one */
}

#define MAY_SEND(x) (nfull(net[x]) && !(party[x].st == KeysUnsampled && party[x].e > EPOCHS))
#define ARRIVED     (party[0].e >= goal && party[1].e >= goal)

init {
  d_step {
    party[0].st = KeysUnsampled; party[0].e = 1;
    party[1].st = NoHeaderReceived; party[1].e = 1
  }
  do
  :: atomic { /* send */
       if :: MAY_SEND(0) -> p = 0 :: MAY_SEND(1) -> p = 1 fi;
       d_step { send(); net[p]!!MESSAGE; clear() }
     }
  :: atomic { /* take any message in flight: lose it, deliver it, or deliver it and keep it for another time */
       if :: nempty(net[0]) -> p = 0 :: nempty(net[1]) -> p = 1 fi;
       net[p]?MESSAGE;
       do :: nempty(net[p]) -> aside!MESSAGE; net[p]?MESSAGE :: break od;
       if :: skip :: goal = 1 :: goal = 1; aside!MESSAGE fi;
       d_step {
         if :: goal -> p = 1 - p; receive(); p = 1 - p :: else fi;
         do :: nempty(aside) -> aside?MESSAGE; net[p]!!MESSAGE :: empty(aside) -> break od;
         clear()
       }
     }
  :: atomic { /* from here on nothing is lost, and the parties speak in turn: either may begin */
       empty(net[0]) && empty(net[1]) -> if :: p = 0 :: p = 1 fi;
       d_step {
         goal = MAX(party[0].e, party[1].e) + 1;
         if :: goal == EPOCHS + 2 -> row("all epochs") :: else fi;
         do
         :: half < 2 * ROUNDS && !ARRIVED -> half++; send(); p = 1 - p; receive()
         :: else -> break
         od;
         assert(ARRIVED)                                                  /* [RECOVERY] a new epoch within ROUNDS rounds */
       };
       break
     }
  od
}
