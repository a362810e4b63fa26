/** Ahead of the tests that mutants meet: a property ends at its first counterexample, since shrinking one takes longer than all else. */

import fc from 'fast-check';

fc.configureGlobal({ endOnFailure: true });
