import Olm from '@matrix-org/olm';

export const { Account, Session, Utility } = Olm;
export default () => Olm.init();
