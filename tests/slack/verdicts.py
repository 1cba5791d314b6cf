"""Posts the same requests to our Worker and to Slack's own framework, and compares the verdicts.

Arguments: the Worker's URL, the signing secret. Requests are signed by Slack's SDK. Each line of the
output is a request with both statuses; the exit status is 1 if any differ.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from slack_bolt import App, BoltRequest
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier

url, secret = sys.argv[1], sys.argv[2]

app = App(
    signing_secret=secret,
    authorize=lambda **_: AuthorizeResult(
        enterprise_id=None, team_id="T000000001", bot_user_id="UAGENT", bot_id="BAGENT",
        bot_token="xoxb-unused",
    ),
)
app.event("app_mention")(lambda: None)
app.event("message")(lambda: None)
app.event("reaction_added")(lambda: None)
app.event("app_home_opened")(lambda: None)
app.event("link_shared")(lambda: None)
app.event("app_uninstalled")(lambda: None)
app.event("tokens_revoked")(lambda: None)
app.command("/agent")(lambda ack: ack())
app.action("stop")(lambda ack: ack())
app.action("default_branch")(lambda ack: ack())
app.message_shortcut("work_on_this")(lambda ack: ack())
app.options("choose_any")(lambda ack: ack(options=[]))


def ours(path, headers, body):
    request = urllib.request.Request(url + path, data=body.encode(), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def theirs(headers, body):
    answer = app.dispatch(BoltRequest(body=body, headers={k: [v] for k, v in headers.items()}))
    return answer.status, answer.body


def event(inner, number):
    return json.dumps({
        "token": "t", "team_id": "T_ELSEWHERE", "api_app_id": "A1", "type": "event_callback",
        "event_id": f"EvVerdict{number}", "event_time": int(time.time()), "event": inner,
        "authorizations": [{"team_id": "T_ELSEWHERE", "user_id": "UAGENT", "is_bot": True}],
    })


def form(payload):
    return "payload=" + urllib.parse.quote(json.dumps(payload))


user, team = {"id": "U1"}, {"id": "T_ELSEWHERE", "domain": "d"}
mention = {"type": "app_mention", "user": "U1", "text": "<@UAGENT> hi", "ts": "1.000001",
           "channel": "C1", "event_ts": "1.000001"}
challenge = json.dumps({"token": "t", "challenge": "3eZbrw1aB", "type": "url_verification"})
command = urllib.parse.urlencode({
    "token": "t", "team_id": "T_ELSEWHERE", "team_domain": "d", "channel_id": "C1",
    "channel_name": "c", "user_id": "U1", "user_name": "u", "command": "/agent", "text": "",
    "response_url": "https://hooks.slack.com/x", "trigger_id": "1.2.3",
})
pressed = form({"type": "block_actions", "user": user, "team": team, "channel": {"id": "C1"},
                "actions": [{"type": "button", "action_id": "stop", "block_id": "b", "value": "v"}]})
suggestion = form({"type": "block_suggestion", "user": user, "team": team, "value": "x",
                   "action_id": "choose_any", "block_id": "b"})
at_home = form({"type": "block_actions", "user": user, "team": team,
                "container": {"type": "view", "view_id": "V1"}, "view": {"id": "V1", "type": "home"},
                "actions": [{"type": "plain_text_input", "action_id": "default_branch",
                             "block_id": "b", "value": "next"}]})
shortcut = form({"type": "message_action", "callback_id": "work_on_this", "user": user, "team": team,
                 "channel": {"id": "C1", "name": "c"}, "trigger_id": "1.2.3", "message_ts": "4.000001",
                 "response_url": "https://hooks.slack.com/x",
                 "message": {"type": "message", "user": "U2", "ts": "4.000001", "text": "it is wrong"}})
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
requests = [
    ("/slack/events", JSON, challenge),
    ("/slack/events", JSON, event(mention, 1)),
    ("/slack/events", JSON, event({**mention, "bot_id": "BAGENT", "user": "UAGENT"}, 2)),
    ("/slack/events", JSON, event({"type": "message", "channel_type": "im", "user": "U1",
                                   "text": "hé & <ü>", "ts": "2.000001", "channel": "D1"}, 3)),
    ("/slack/events", JSON, event({"type": "reaction_added", "user": "U1", "reaction": "eyes",
                                   "item": {"type": "message", "channel": "C1", "ts": "1.000001"},
                                   "event_ts": "3.000001"}, 4)),
    ("/slack/events", JSON, event({"type": "app_home_opened", "user": "U1", "channel": "D1",
                                   "tab": "home", "event_ts": "3.000002"}, 5)),
    ("/slack/events", JSON, event({"type": "link_shared", "user": "U1", "channel": "C1",
                                   "message_ts": "1.000001", "links": []}, 6)),
    ("/slack/events", JSON, event({"type": "app_uninstalled"}, 7)),
    ("/slack/events", JSON, event({"type": "tokens_revoked", "tokens": {"bot": ["UAGENT"]}}, 8)),
    ("/slack/events", JSON, event({"type": "message", "subtype": "message_deleted", "hidden": True,
                                   "ts": "5.000001", "deleted_ts": "2.000001", "channel": "D1",
                                   "channel_type": "im"}, 9)),
    ("/slack/interactions", FORM, pressed),
    ("/slack/interactions", FORM, at_home),
    ("/slack/interactions", FORM, shortcut),
    ("/slack/interactions", FORM, suggestion),
    ("/slack/commands", FORM, command),
]
signer = SignatureVerifier(secret)
failed = 0
for path, kind, body in requests:
    for name, offset, spoil in [
        ("as it is", 0, None), ("4 min old", -240, None), ("from 4 min ahead", 240, None),
        ("6 min old", -360, None), ("from 6 min ahead", 360, None), ("another body", 0, "body"),
        ("no signature", 0, "signature"), ("no time", 0, "time"), ("other secret", 0, "secret"),
    ]:
        stamp = str(int(time.time()) + offset)
        by = SignatureVerifier("another secret") if spoil == "secret" else signer
        signed = by.generate_signature(timestamp=stamp, body=body)
        headers = {"content-type": kind, "x-slack-request-timestamp": stamp,
                   "x-slack-signature": signed}
        if spoil == "signature":
            del headers["x-slack-signature"]
        if spoil == "time":
            del headers["x-slack-request-timestamp"]
        sent = body + " " if spoil == "body" else body
        (we, said), (they, theirs_said) = ours(path, headers, sent), theirs(headers, sent)
        same = we == they
        if body is challenge and we == 200:
            same = same and json.loads(said) == json.loads(theirs_said)
        failed += not same
        print(json.dumps({"path": path, "request": name, "ours": we, "theirs": they}))
sys.exit(1 if failed else 0)
