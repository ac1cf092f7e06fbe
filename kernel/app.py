"""The Flask application: every blueprint, put together for one kernel."""

from flask import Blueprint, Flask

from kernel.config import logging as kernel_logging
from kernel.runtime import Kernel
from kernel.tasks import Broker
from kernel.views.api import api_blueprint
from kernel.views.errors import install
from kernel.views.health import health_blueprint
from kernel.views.original import original_blueprint


def create_app(kernel: Kernel) -> Flask:
    """Build the WSGI application for ``kernel``: the API, the original's addresses, health.

    Raises ConfigurationError when the database is behind this code's migrations, and Unavailable
    when it does not answer.
    """
    kernel_logging.configure(kernel.settings.log_level)
    kernel.check_schema()
    app = Flask("kernel", static_folder=None)
    app.register_blueprint(create_blueprint(kernel))
    app.register_blueprint(health_blueprint(kernel))
    install(app, kernel.settings.language)
    return app


def create_blueprint(kernel: Kernel) -> Blueprint:
    """Build a blueprint with the API (``/v1/...``) and the original's addresses (``/test/...``).

    Mount it in a Flask application of your own: ``app.register_blueprint(create_blueprint(k))``.
    It brings its own error answers, body limit and authentication, and touches nothing outside.
    """
    broker = Broker(kernel)
    blueprint = Blueprint("kernel", __name__)
    blueprint.register_blueprint(api_blueprint(kernel, broker))
    blueprint.register_blueprint(original_blueprint(kernel, broker))
    install(blueprint, kernel.settings.language)
    return blueprint
