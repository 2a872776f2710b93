#!/usr/bin/env python3
"""`mcpcred leak report` against a broker of straw: what it asks of each kind of report, what it prints, how it exits."""
import base64
import hashlib
import importlib.util
import json
import pathlib
import re
import time

spec = importlib.util.spec_from_file_location("support", pathlib.Path(__file__).with_name("support.py"))
support = importlib.util.module_from_spec(spec)
spec.loader.exec_module(support)
Fault, Home, equal, holds, times = support.Fault, support.Home, support.equal, support.holds, support.times

TOKEN = "not_a-token_" + "aB3" * 9
OTHER = "another_one_" + "Zy9" * 9
PEM = "-----BEGIN " + "RSA PRIVATE KEY-----\nQUFB\nQkJC\n-----END " + "RSA PRIVATE KEY-----"

# The sample of GitHub's documentation.
KEY_ID = "bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c"
PUBLIC_KEY = ("-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYAGMWO8XgCamYKMJS6jc/qgvSlAd\nAjPuDPRcXU22Yxg"
              "Brz+zoN19MzuRyW87qEt9/AmtoNP5GrobzUvQSyJFVw==\n-----END PUBLIC KEY-----\n")
SAMPLE = b'[{"source":"commit","token":"some_token","type":"some_type","url":"https://example.com/base-repo-url/"}]'
SIGNATURE = "MEQCIQDaMKqrGnE27S0kgMrEK0eYBmyG0LeZismAEz/BgZyt7AIfXt9fErtRS4XaeSt/AO1RtBY66YcAdjxji410VQV4xg=="


def sha256(text):
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def vault(*values, pending=False, actions=("revoke: done",)):
    """ReportLeak of a broker that has these."""
    known = {sha256(value) for value in values}

    def answer(parameters):
        equal(len(set(parameters["hashes"])), len(parameters["hashes"]))
        holds(1 <= len(parameters["hashes"]) <= 512)
        matches = [{"index": i, "kind": "credential", "secret": "github", "profile": "triage", "session": "s-0123456789abcdef",
                    "lease": "l-0123456789abcdef", "state": "live", "issued": times(-3600), "incident": "i-0123456789abcdef",
                    "actions": list(actions)} for i, item in enumerate(parameters["hashes"]) if item in known]
        return {"matches": matches, "unknown": len(parameters["hashes"]) - len(matches), "pending": pending}
    return answer


def asked(home):
    return [item for call in home.broker.asked("ReportLeak") for item in call[1]["hashes"]]


def shows_nothing_of(done, *values):
    """Not even a piece."""
    text = done.stdout + done.stderr
    for value in values:
        for start in range(len(value) - 7):
            holds(value[start:start + 8].encode() not in text, text)


def gitleaks(*secrets):
    return json.dumps([{"RuleID": "generic-api-key", "Description": "x", "StartLine": number, "Match": f"key = '{secret}'",
                        "Secret": secret, "File": f"src/{number}.py", "Commit": "c" * 40} for number, secret in enumerate(secrets, 1)])


def sarif(*lines):
    results = [{"ruleId": "r", "partialFingerprints": {"x": "y"}, "locations": [{"physicalLocation": {
        "artifactLocation": {"uri": "a.py"}, "region": {"startLine": 4, "snippet": {"text": line}}}}]} for line in lines]
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "t"}}, "results": results}]})


def trufflehog(*secrets):
    return "".join(json.dumps({"SourceMetadata": {"Data": {"Filesystem": {"file": "a.py", "line": 2}}}, "DetectorName": "D",
                               "DecoderName": "PLAIN", "Verified": True, "Raw": secret, "RawV2": ""}) + "\n" for secret in secrets)


def gitlab(*extracts):
    vulnerabilities = [{"id": str(number), "category": "secret_detection", "name": "n", "raw_source_code_extract": extract,
                        "location": {"file": "a.py", "start_line": number}, "identifiers": [{"type": "t", "value": "r"}]}
                       for number, extract in enumerate(extracts, 1)]
    return json.dumps({"version": "15.2.4", "vulnerabilities": vulnerabilities, "scan": {"type": "secret_detection"}})


def test_each_format_is_told_by_itself():
    reports = {"plain": f"{OTHER}\n{TOKEN}\n", "gitleaks": gitleaks(OTHER, TOKEN), "trufflehog": trufflehog(OTHER, TOKEN),
               "sarif": sarif(f'other = "{OTHER}"', f'let key = "{TOKEN}"; // why'),
               "partner": json.dumps([{"token": t, "type": "x", "url": "", "source": "content"} for t in (OTHER, TOKEN)]),
               "gitlab": gitlab(OTHER, [f"key = '{TOKEN}'\n"]),
               "github-secrets": json.dumps([{"number": 1, "secret_type": "x", "secret": t} for t in (OTHER, TOKEN)])}
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        for name, report in reports.items():
            for more in ((), ("--format", name)):
                document = home.json("leak", "report", "-", *more, stdin=report)
                equal((document["format"], document["findings"], document["matched"], document["unknown"]), (name, 2, 1, 1))
                [match] = document["matches"]
                equal((match["secret"], match["places"][0]["finding"]), ("github", 2), name)
            done = home.run("leak", "report", stdin=report)
            equal(done.returncode, 0, done)
            holds(b"credential of github" in done.stdout and b"1 of 2 findings is ours" in done.stdout, done)
            shows_nothing_of(done, TOKEN, OTHER)
        equal(home.broker.asked("ReportLeak")[0][1].get("source"), "plain")


def test_keys_in_pem_are_one_value():
    with Home({"ReportLeak": vault(PEM)}) as home:
        for report in (PEM + "\n", f"a\n{PEM}\nb\n", gitleaks(PEM + "\n"), "KEY=\"" + PEM.replace("\n", "\\n") + '"\n'):
            equal(home.json("leak", "report", "-", stdin=report)["matched"], 1, report)


def test_large_reports_are_asked_about_in_parts():
    secrets = [f"value-{number:05}-{'x' * 12}" for number in range(2000)]
    with Home({"ReportLeak": vault(secrets[7], secrets[1999])}) as home:
        document = home.json("leak", "report", "-", stdin=gitleaks(*secrets, *secrets))
        equal((document["findings"], document["matched"], len(document["matches"])), (4000, 4, 2))
        equal(sorted(place["finding"] for match in document["matches"] for place in match["places"]), [8, 2000, 2008, 4000])
        holds(len(home.broker.asked("ReportLeak")) > 3)
        equal(len(asked(home)), len(set(asked(home))))


def test_no_value_goes_to_the_broker():
    with Home({"ReportLeak": vault()}) as home:
        equal(home.json("leak", "report", "-", "--source", "repo octo/hello", stdin=gitleaks(TOKEN))["matched"], 0)
        calls = json.dumps(home.broker.asked("ReportLeak"), default=str)
        holds(TOKEN not in calls and sha256(TOKEN) in calls and "repo octo/hello" in calls, calls)
        holds(all(re.fullmatch("[0-9a-f]{64}", item) for item in asked(home)))


def test_a_dry_run_says_so():
    with Home({"ReportLeak": vault(TOKEN, pending=True, actions=["revoke: todo"])}) as home:
        done = home.run("leak", "report", "-", "--dry-run", stdin=TOKEN)
        equal(done.returncode, 0)
        holds(b"would do revoke (" in done.stdout and b"it is over" not in done.stderr, done)
    with Home({"ReportLeak": vault(TOKEN, actions=["revoke: todo", "rotate: needs-person (run: x)", "notify: todo"])}) as home:
        done = home.run("leak", "report", "-", "--dry-run", stdin=TOKEN)
        equal(done.returncode, 0)
        holds(b"would do revoke, rotate: needs-person (run: x), notify (" in done.stdout, done)
        equal(home.broker.asked("ReportLeak")[0][1]["dry_run"], True)


def test_exit_statuses():
    with Home({"ReportLeak": vault(TOKEN, pending=True)}) as home:
        equal(home.run("leak", "report", "-", stdin=TOKEN).returncode, 8)
        equal(home.json("leak", "report", "-", stdin=TOKEN, status=8)["pending"], True)
        equal(home.run("leak", "report", "-", stdin=OTHER).returncode, 8)  # of what was reported before
    for action in ("rotate: failed", "rotate: needs-person"):
        with Home({"ReportLeak": vault(TOKEN, actions=["revoke: done", action])}) as home:
            done = home.run("leak", "report", "-", stdin=TOKEN)
            equal(done.returncode, 1)
            holds(b"not everything" in done.stderr, done)
    with Home({"ReportLeak": vault()}) as home:
        equal(home.run("leak", "report", "-", stdin=OTHER).returncode, 0)
        equal(home.run("leak", "report", "-", stdin="[]").returncode, 0)
        equal(home.run("leak", "report", "-", "--format", "nothing", stdin="").returncode, 2)
        equal(home.run("leak", stdin="").returncode, 2)
        equal(home.run("leak", "repeat", stdin="").returncode, 2)
        done = home.run("leak", "close", stdin="")
        equal((done.returncode, b"which incident" in done.stderr), (2, True))

    def locked(parameters):
        raise Fault("KeyringLocked")
    with Home({"ReportLeak": locked}) as home:
        equal(home.json("leak", "report", "-", stdin=TOKEN, status=4)["error"]["code"], "KeyringLocked")
    with Home() as home:
        equal(home.run("leak", "report", "-", stdin=TOKEN).returncode, 7)


def test_blanked_reports_are_no_all_clear():
    for report in (gitleaks("REDACTED"), gitleaks(TOKEN[:8] + "..."), sarif("REDACTED"), "*" * 20):
        with Home({"ReportLeak": vault(TOKEN)}) as home:
            done = home.run("leak", "report", "-", stdin=report)
            equal(done.returncode, 1, done)
            holds(b"blanked" in done.stderr and b"--redact" in done.stderr, done)
            equal(home.json("leak", "report", "-", stdin=report, status=1)["redacted"], 1)
    with Home({"ReportLeak": vault(TOKEN)}) as home:  # the others are dealt with all the same
        document = home.json("leak", "report", "-", stdin=gitleaks("REDACTED", TOKEN), status=1)
        equal((document["matched"], document["redacted"], document["unknown"]), (1, 1, 0))
        for report in (f"look, {TOKEN} ...\n", sarif(f"/****** {TOKEN} ******/")):  # as are those in the same line
            document = home.json("leak", "report", "-", stdin=report)
            equal((document["matched"], document["redacted"]), (1, 0))


def test_a_keys_first_line_is_no_all_clear():
    with Home({"ReportLeak": vault(PEM)}) as home:
        for report in (gitlab(PEM.splitlines()[0]), gitlab(PEM.splitlines(True)), gitleaks(PEM.splitlines()[0])):
            done = home.run("leak", "report", "-", stdin=report)
            equal((done.returncode, b"only its beginning" in done.stderr), (1, True), done)
        equal(home.json("leak", "report", "-", stdin=gitlab(PEM + "\n"))["matched"], 1)


def test_what_was_not_compared_is_no_all_clear():
    line = "".join(f"{number:08x} " for number in range(3000))
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        done = home.run("leak", "report", "-", stdin=f"{line}\n{TOKEN}\n")
        equal(done.returncode, 1, done)
        holds(b"not every piece" in done.stderr and b"1 of 2" in done.stdout, done)
        document = home.json("leak", "report", "-", stdin=line, status=1)
        equal((document["cut"], document["matched"]), (1, 0))
        holds(document["remedy"], document)


def test_a_cut_report_does_nothing():
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        for report in (gitleaks(TOKEN)[:-2], sarif(TOKEN)[:-1], gitlab(TOKEN)[:-1], "{}", trufflehog(TOKEN) + '{"Raw'):
            done = home.run("leak", "report", "-", stdin=report)
            equal(done.returncode, 2, done)
            holds(b"Nothing was done" in done.stderr, done)
            shows_nothing_of(done, TOKEN)
        equal(home.broker.asked("ReportLeak"), [])


def test_a_report_that_is_too_long_is_refused():
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        path = home.path / "report"
        with open(path, "wb") as file:
            file.truncate(64 * 1024 * 1024 + 1)
        done = home.run("leak", "report", path)
        equal(done.returncode, 2)
        holds(b"64 MiB" in done.stderr, done)


def test_a_token_as_an_argument_is_not_repeated():
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        for arguments in ((TOKEN,), ("-", TOKEN)):
            done = home.run("leak", "report", *arguments)
            holds(done.returncode in (2, 6), done)
            shows_nothing_of(done, TOKEN)


def alert(action, **more):
    return json.dumps({"action": action, "alert": dict({"number": 42, "secret_type": "kind", "validity": "unknown"}, **more),
                       "repository": {"full_name": "octo/hello"}, "sender": {"login": "x"}})


def test_an_alert_says_how_to_get_the_value():
    with Home({"ReportLeak": vault()}) as home:
        for action in ("created", "publicly_leaked", "reopened", "validated"):
            done = home.run("leak", "report", "-", stdin=alert(action))
            equal(done.returncode, 1)
            holds(b"gh api repos/octo/hello/secret-scanning/alerts/42 --jq .secret | mcpcred leak report -" in done.stdout, done)
            document = home.json("leak", "report", "-", stdin=alert(action), status=1)
            equal((document["format"], document["notice"]["number"], document["notice"]["acts"]), ("github-alert", 42, True))
        for action in ("resolved", "assigned", "unassigned"):
            done = home.run("leak", "report", "-", stdin=alert(action))
            equal(done.returncode, 0)
            holds(b"nothing to do" in done.stdout, done)
        equal(home.run("leak", "report", "-", stdin=alert("validated", validity="inactive")).returncode, 0)
        equal(home.broker.asked("ReportLeak"), [])


def partner(home, body, *options, key=PUBLIC_KEY, current=True):
    keys = home.path / "keys.json"
    keys.write_text(json.dumps({"public_keys": [{"key_identifier": KEY_ID, "key": key, "is_current": current}]}))
    return home.run("leak", "report", "-", "--public-keys", keys, *options, stdin=body)


def test_githubs_documented_secret_scanning_sample_verifies_a_flipped_bit_does_not():
    options = ("--key-id", KEY_ID, "--signature", SIGNATURE)
    with Home({"ReportLeak": vault("some_token")}) as home:
        for current in (True, False):
            done = partner(home, SAMPLE, *options, current=current)
            equal(done.returncode, 0, done)
            holds(b"1 of 1 finding is ours" in done.stdout, done)
        equal(home.json("leak", "report", "-", "--public-keys", home.path / "keys.json", *options, stdin=SAMPLE)["signature"], "valid")
        before = len(home.broker.calls)
        for at in range(0, len(SAMPLE), 13):
            flipped = bytearray(SAMPLE)
            flipped[at] ^= 1
            equal(partner(home, bytes(flipped), *options).returncode, 5)
        der = bytearray(base64.b64decode(SIGNATURE))
        der[-1] ^= 1
        equal(partner(home, SAMPLE, "--key-id", KEY_ID, "--signature", base64.b64encode(der).decode()).returncode, 5)
        equal(partner(home, SAMPLE, *options, key=PUBLIC_KEY.replace("yW87qEt9", "yW87qEt8")).returncode, 5)
        equal(partner(home, SAMPLE + b"\n", *options).returncode, 5)
        equal(partner(home, SAMPLE, "--key-id", "other", "--signature", SIGNATURE).returncode, 5)
        equal(partner(home, SAMPLE).returncode, 5)
        equal(len(home.broker.calls), before)


def test_partner_headers_of_both():
    with Home({"ReportLeak": vault("some_token")}) as home:
        headers = home.path / "headers"
        for who in ("Github", "GITLAB"):
            headers.write_text(f"POST /x HTTP/1.1\r\nHost: a\r\n{who}-Public-Key-Identifier: {KEY_ID}\r\n"
                               f"{who}-Public-Key-Signature: {SIGNATURE}\r\n\r\n")
            equal(partner(home, SAMPLE, "--headers", headers).returncode, 0)
        done = home.run("leak", "report", "-", "--headers", headers, stdin=SAMPLE)  # the value is what counts
        equal(done.returncode, 0)
        holds(b"signature was not checked" in done.stderr, done)


def webhook(home, valid=True):
    home.broker.handlers["VerifyWebhook"] = lambda parameters: {"valid": valid}


def test_a_webhook_is_checked_by_the_broker():
    body = alert("created").encode()
    with Home({"ReportLeak": vault()}) as home:
        headers = home.path / "headers"
        headers.write_text("x-hub-signature-256: sha256=" + "0" * 64 + "\nX-GitHub-Event: secret_scanning_alert\n")
        webhook(home)
        document = home.json("leak", "report", "-", "--headers", headers, "--webhook-secret", "hook", stdin=body, status=1)
        equal(document["signature"], "valid")
        [(_, parameters, [sent])] = home.broker.asked("VerifyWebhook")
        equal(parameters, {"secret": "hook", "scheme": "github", "signature": "sha256=" + "0" * 64})
        equal(sent, body)
        webhook(home, valid=False)
        done = home.run("leak", "report", "-", "--headers", headers, "--webhook-secret", "hook", stdin=TOKEN)
        equal((done.returncode, done.stdout), (5, b""))
        holds(b"Nothing was done" in done.stderr, done)
        equal(home.run("leak", "report", "-", "--webhook-secret", "hook", stdin=TOKEN).returncode, 5)
        equal(home.broker.asked("ReportLeak"), [])


def test_a_large_webhook_arrives_whole():
    body = ("x" * 79 + "\n").encode() * 60000
    with Home({"ReportLeak": vault()}) as home:
        webhook(home, valid=False)
        done = home.run("leak", "report", "-", "--signature", "sha256=00", "--webhook-secret", "hook", stdin=body)
        equal(done.returncode, 5)
        equal(sha256(home.broker.asked("VerifyWebhook")[0][2][0]), sha256(body))


def test_gitguardians_webhooks_have_an_age():
    body = json.dumps({"source": "GitGuardian", "action": "incident_triggered", "incident": {"id": 7, "gitguardian_url": "https://a/b"}})

    def run(timestamp, *more):
        headers = home.path / "headers"
        headers.write_text(f"Gitguardian-Signature: sha256={'0' * 64}\nTimestamp: {timestamp}\n")
        return home.run("leak", "report", "-", "--headers", headers, "--webhook-secret", "gg", *more, stdin=body)

    with Home({"ReportLeak": vault()}) as home:
        webhook(home)
        now = time.time()
        for fresh in (int(now), f"{now:.3f}", time.strftime("%Y-%m-%dT%H:%M:%S.5Z", time.gmtime(now - 200))):
            done = run(fresh)
            equal(done.returncode, 1, done)
            holds(b"Open https://a/b" in done.stdout, done)
        equal(home.broker.asked("VerifyWebhook")[0][1]["scheme"], "gitguardian")
        for old in (int(now) - 400, int(now) + 400, "yesterday", "-1", times(-3600)):
            done = run(old)
            equal(done.returncode, 5, done)
        equal(run(int(now) - 400, "--max-age", "1h").returncode, 1)
        equal(run(int(now), "--timestamp", str(int(now) - 400)).returncode, 5)


def test_places_are_shown_and_values_in_them_are_not():
    report = json.dumps([{"RuleID": "r", "Secret": TOKEN, "Match": TOKEN, "File": f"tokens/{TOKEN}", "StartLine": 1},
                         {"RuleID": "r", "Secret": TOKEN, "Match": TOKEN, "File": "deploy/\u001b[31mprod.env", "StartLine": 12}])
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        done = home.run("leak", "report", "-", stdin=report)
        shows_nothing_of(done, TOKEN)
        holds(b"prod.env:12 (r)" in done.stdout and b"\x1b" not in done.stdout, done)
        shows_nothing_of(home.run("leak", "report", "-", "--json", stdin=report), TOKEN)


def test_what_acts_on_a_terminal_is_shown_as_marks():
    """C1 and what changes the direction of a text too, and in JSON, which people look at as well."""
    bad = ("\u001b", "\u007f", "\u009b", "\u061c", "\u200e", "\u2028", "\u202e", "\u2066")
    unseen = ("\u00ad", "\u180e", "\u200b", "\u2060", "\u2064", "\ufeff")
    with Home({"ReportLeak": vault(TOKEN)}) as home:
        for texts in bad, unseen:
            report = json.dumps([{"RuleID": "r", "Secret": TOKEN, "Match": TOKEN, "File": f"a{text}b/é", "StartLine": 1}
                                 for text in texts])
            for more in (), ("--json",):
                done = home.run("leak", "report", "-", *more, stdin=report)
                shown = done.stdout.decode()
                holds("b/é" in shown and not [text for text in texts if text in shown], done)
            equal({place["place"] for place in json.loads(shown)["matches"][0]["places"]}, {f"a{text}b/é" for text in texts})


def test_incidents_are_listed_and_closed():
    row = {"incident": "i-0123456789abcdef", "time": times(-120), "signal": "foreign_handle", "evidence": "a handle\u001b[31m",
           "session": "s-0123456789abcdef", "count": 2, "state": "needs_person",
           "actions": ["revoke: done", "rotate: needs-person (run: mcpcred rotate api)"]}
    with Home({"ListIncidents": lambda p: {"incidents": [row]}, "CloseIncident": lambda p: {}}) as home:
        done = home.run("leak", "list")
        for text in (b"i-0123456789abcdef", b"another session's handle", b"2 times", b"needs a person", b"run: mcpcred rotate api"):
            holds(text in done.stdout, done)
        holds(b"\x1b" not in done.stdout, done)
        equal(home.json("leak", "list", "--all")["incidents"][0]["incident"], row["incident"])
        equal([call[1].get("all", False) for call in home.broker.asked("ListIncidents")], [False, True])
        equal(home.json("leak", "close", row["incident"])["state"], "closed")
        equal(home.broker.asked("CloseIncident")[0][1], {"incident": row["incident"]})
        equal(home.run("leak", "close").returncode, 2)
    with Home({"ListIncidents": lambda p: {"incidents": []}}) as home:
        done = home.run("leak", "list")
        equal((done.returncode, done.stdout), (0, b""))
        holds(b"no incident is open" in done.stderr, done)


support.main(globals())
