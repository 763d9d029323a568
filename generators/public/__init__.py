"""What costs no privacy: public sets, phantoms as stand-ins, simulators, training on them, copies of them."""
