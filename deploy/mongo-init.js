// Makes the replica set and the server's user, once; both stay in the data. For mongosh, with MONGO_PASSWORD (of root)
// and MONGO_APP_PASSWORD in its environment; run again, it gives that user the password that is set now, and the roles below.
const wait = () => sleep(1000);

/** The server answers over the network only when the image has made its data. */
for (;;) {
  try {
    db = connect("mongodb://mongo:27017/admin?directConnection=true");
    db.auth("root", process.env.MONGO_PASSWORD);
    break;
  } catch (error) {
    if (error.codeName === "AuthenticationFailed") throw error;
    wait();
  }
}

try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] });
}
while (!db.hello().isWritablePrimary) wait();

// So that the server sees at its start for how long MongoDB keeps the locks of a killed process.
const mayRead = { privileges: [{ resource: { cluster: true }, actions: ["getParameter"] }], roles: [] };
if (db.getRole("readParameters") === null) db.createRole({ role: "readParameters", ...mayRead });

const shop = db.getSiblingDB("aizy");
const user = {
  pwd: process.env.MONGO_APP_PASSWORD,
  roles: [
    { role: "readWrite", db: "aizy" },
    { role: "readParameters", db: "admin" },
  ],
};
if (shop.getUser("aizy") === null) shop.createUser({ user: "aizy", ...user });
else shop.updateUser("aizy", user);
print("The replica set rs0 is there, and the user aizy.");
