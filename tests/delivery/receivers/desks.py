"""The simulator of each receiver, and the ticket that its page's order is about."""

from typing import Any

from tests.support.howto import EACH
from tests.support.howto_setting import RECEIVERS, Setting
from tests.support.simulators.open_trackers.gitea import Gitea
from tests.support.simulators.open_trackers.gitlab import GitLab
from tests.support.simulators.open_trackers.glpi import GLPI
from tests.support.simulators.open_trackers.itop import ITop
from tests.support.simulators.open_trackers.redmine import Redmine
from tests.support.simulators.open_trackers.zammad import Zammad
from tests.support.simulators.open_trackers.znuny import Znuny
from tests.support.simulators.service_desks.freshservice import Freshservice
from tests.support.simulators.service_desks.jira_cloud import JiraCloud
from tests.support.simulators.service_desks.jira_data_center import JiraDataCenter
from tests.support.simulators.service_desks.servicenow import ServiceNow
from tests.support.simulators.service_desks.zendesk import Zendesk

#: The simulator of each receiver that writes into tickets.
DESKS: dict[str, type[Any]] = {
    "servicenow/tickets": ServiceNow,
    "servicenow/oauth-tickets": ServiceNow,
    "servicenow/script": ServiceNow,
    "jira/issues": JiraCloud,
    "jira/requests": JiraCloud,
    "jira/transitions": JiraCloud,
    "jira/datacenter": JiraDataCenter,
    "jira/datacenter-transitions": JiraDataCenter,
    "jira/rule": JiraCloud,
    "zammad/tickets": Zammad,
    "itop/tickets": ITop,
    "glpi/tickets": GLPI,
    "glpi/solutions": GLPI,
    "znuny/tickets": Znuny,
    "redmine/issues": Redmine,
    "freshservice/tickets": Freshservice,
    "zendesk/tickets": Zendesk,
    "gitlab/issues": GitLab,
    "gitlab/gitea-issues": Gitea,
}

#: The call that writes.
WRITES = {
    "servicenow/tickets": "PATCH",
    "servicenow/oauth-tickets": "PATCH",
    "zammad/tickets": "PUT",
    "glpi/tickets": "Timeline",
    "glpi/solutions": "Timeline",
}


def ticket_in(desk: Any, receiver: str) -> Any:
    """Make the ticket that the page's order is about."""
    number = EACH[RECEIVERS[receiver][0]].example.members["reference"]
    if receiver.startswith("servicenow/"):
        return desk.open(number, "sc_req_item")
    return desk.open(number)


def map_outcomes(setting: Setting) -> None:
    """Run the page's command that maps outcomes to states."""
    for command in setting.page.commands("receivers", "set"):
        if command[2] == setting.name and "--outcome" in command:
            setting.terminal.run(*command)
