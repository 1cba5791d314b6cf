"""Has Slack's own SDK look at every block that we send.

Standard input: a JSON list of bodies of Web API calls. What the SDK does not take is printed, and
the exit status is 1 then.
"""

import json
import sys

from slack_sdk.models.blocks import Block

KNOWN = {"section", "context", "actions"}
failed = 0
seen = set()

for body in json.load(sys.stdin):
    lists = [body.get("blocks") or []]
    lists += [card["blocks"] for card in (body.get("unfurls") or {}).values()]
    if "view" in body:
        lists.append(body["view"]["blocks"])
    for chunk in body.get("chunks") or []:
        if chunk["type"] == "blocks":
            lists.append(chunk["blocks"])
    for blocks in lists:
        seen.update(block["type"] for block in blocks)
        try:
            parsed = [block.to_dict() for block in Block.parse_all(blocks)]
            # The SDK drops silently what it does not know.
            if [block["type"] for block in parsed] != [block["type"] for block in blocks]:
                raise ValueError("a block was not recognised")
            if len(blocks) > 50:
                raise ValueError("more than 50 blocks")
        except Exception as error:
            failed += 1
            print(f"{error}: {json.dumps(blocks)}")
    if lists[0] and not body.get("text") and "view" not in body:
        failed += 1
        print(f"no text beside blocks: {json.dumps(body)}")

if not KNOWN <= seen:
    failed += 1
    print(f"looked at too little: {sorted(seen)}")
sys.exit(1 if failed else 0)
