-- In which channels of Slack something waits until somebody has said who they are.
CREATE TABLE slack_waits (
    team TEXT NOT NULL,
    user TEXT NOT NULL,
    channel TEXT NOT NULL,
    PRIMARY KEY (team, user, channel)
) WITHOUT ROWID;
