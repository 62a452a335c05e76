package identity

// DemoNotice is what everything that a demonstration makes says of itself: pages,
// seals, documents and messages. It is spelt the same everywhere, so that people
// and programs find it.
const DemoNotice = "DEMOSTRACIÓN - SIN VALIDEZ LEGAL"
