"""Requests over one kept-alive connection, one after the other. argv: URL with N for the number, how many."""
import sys, warnings

import requests

warnings.simplefilter('ignore')
url, count = sys.argv[1:]
session = requests.Session()
session.trust_env = False
for i in range(1, int(count) + 1):
    session.get(url.replace('N', str(i)), verify=False).raise_for_status()
