// The text that every engine reads: written for this benchmark, so that no figure depends on a file from elsewhere.

/** Plain English prose; repeated when a prompt needs more. */
export const text = `The ferry leaves the old harbour at six in the morning, when the fishermen are already on their way back. From the
upper deck one sees the whole bay: the lighthouse on its grey rock, the long wooden pier, and behind it the hills with their terraces
of olive trees. Most passengers sleep through the first hour. Those who stay awake drink coffee from paper cups and watch the gulls,
which follow the ship as far as the third buoy and then turn round, all at once, as if somebody had called them home.

The crossing takes four hours in calm weather. A hundred years ago it took two days, and the islanders still measure distance by the
time that a sail needs. A cousin lives half a day away; the market town is a morning; the capital is a week, although the plane lands
there in fifty minutes. When the engineers came to lay the first cable, they asked how far it was to the mainland, and the harbour
master answered: one night, if the wind is kind. They wrote down forty-one kilometres and were right as well.

What has changed most is the winter. There used to be three months without a letter. Families salted fish, repaired nets, carved spoons
and told each other the same stories, a little better every year. Now there is a school with a good library, a doctor who comes on
Tuesdays, and a small power station that runs on the tides. It was built by a woman from the northern village who had studied far away
and returned with eleven crates of instruments. At first the turbines were too loud for the seals, so she slowed them down and added a
second pair. Nobody minded that the lamps flickered at slack water. People said that it was the sea, blinking.

If you visit, bring good shoes and no plans. The path along the cliffs is marked with blue stones, and it takes as long as it takes. Ask
before you open a gate, and close it behind you. At the end of the path there is a bench. Sit down there and count the ships: five means
rain, six means guests, and seven, the old people say, has never been seen, because whoever reaches six falls asleep.
`;
