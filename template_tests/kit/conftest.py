"""What the tests of the kit share, beside the fixtures of all tests."""

from functools import partial

import pytest
from problems import LAPTOPS, make_project


@pytest.fixture
def new_project(tmp_path):
    """``new_project(problem)``: a project in which nothing has run yet, with raw data."""
    return partial(make_project, tmp_path / "project")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """``trained(problem)``: a project in which preprocess and train have run. Read only."""
    from laptop_pricing.kit.data.preprocess import preprocess
    from laptop_pricing.kit.modeling.train import train

    projects = {}

    def give(problem=LAPTOPS):
        if problem.name not in projects:
            project = make_project(tmp_path_factory.mktemp(problem.name), problem)
            preprocess(project)
            train(project)
            projects[problem.name] = project
        return projects[problem.name]

    return give
