//! Drawings of random graphs: no two boxes touch, and no line touches a box that it does not belong to.

use wattle_api::graph::{Drawing, Edge, Node, Output, Pipeline, Rect};

use super::lay_out;

/// A random pipeline whose edges lead to later nodes or to outputs.
fn random(rng: &mut fastrand::Rng) -> Pipeline {
    let (nodes, outputs) = (rng.usize(0..14), rng.usize(1..5));
    let name = |index: usize| format!("node-{index}");
    let edge = |rng: &mut fastrand::Rng, after: usize| match rng.usize(after..nodes + outputs) {
        node if node < nodes => Edge { to: name(node), ..Edge::default() },
        output => Edge { to: format!("out-{}", output - nodes), to_output: true, ..Edge::default() },
    };
    let mut edges = vec![edge(rng, 0)];
    for index in 0..nodes {
        for port in ["out", "other", "failed"].iter().take(rng.usize(1..4)) {
            let from = Some(name(index));
            let next = edge(rng, index + 1);
            edges.push(Edge { from, port: (*port).into(), failed: *port == "failed", ..next });
        }
    }
    Pipeline {
        nodes: (0..nodes)
            .map(|index| Node {
                name: name(index),
                ports: ["out", "other", "failed"].map(str::to_owned).to_vec(),
                ..Node::default()
            })
            .collect(),
        outputs: (0..outputs)
            .map(|index| Output {
                name: format!("out-{index}"),
                title: "x".repeat(rng.usize(0..60)),
                ..Output::default()
            })
            .collect(),
        edges,
        ..Pipeline::default()
    }
}

/// Points of a path, close to each other.
fn points(path: &str) -> Vec<(f64, f64)> {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut commands: Vec<(char, Vec<f64>)> = Vec::new();
    for part in path.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        let (numbers, next) = match part.chars().last() {
            Some(c) if c.is_ascii_alphabetic() => (part.strip_suffix(c).unwrap(), Some(c)),
            _ => (part, None),
        };
        if let Some((_, values)) = commands.last_mut() {
            values.extend(numbers.split_whitespace().map(|number| number.parse::<f64>().unwrap()));
        }
        commands.extend(next.map(|c| (c, Vec::new())));
    }
    for (command, values) in commands {
        match (command, values.as_slice()) {
            ('M', [x, y]) => points.push((*x, *y)),
            ('L', [x, y]) => line(&mut points, (*x, *y)),
            ('C', [a, b, c, d, x, y]) => {
                let (x0, y0) = *points.last().unwrap();
                for step in 1..=40 {
                    let t = f64::from(step) / 40.0;
                    let u = 1.0 - t;
                    let at = |p0: f64, p1: f64, p2: f64, p3: f64| {
                        u * u * u * p0 + 3.0 * u * u * t * p1 + 3.0 * u * t * t * p2 + t * t * t * p3
                    };
                    points.push((at(x0, *a, *c, *x), at(y0, *b, *d, *y)));
                }
            }
            other => panic!("{other:?} in {path}"),
        }
    }
    points
}

fn line(points: &mut Vec<(f64, f64)>, (x, y): (f64, f64)) {
    let (x0, y0) = *points.last().unwrap();
    points.extend((1..=40).map(|step| {
        let t = f64::from(step) / 40.0;
        (x0 + (x - x0) * t, y0 + (y - y0) * t)
    }));
}

fn is_inside(rect: &Rect, (x, y): (f64, f64), more: f64) -> bool {
    x > rect.x - more && x < rect.x + rect.width + more && y > rect.y - more && y < rect.y + rect.height + more
}

#[track_caller]
fn check(pipeline: &Pipeline, drawing: &Drawing) {
    let boxes = &drawing.boxes;
    assert_eq!(boxes.len(), 1 + pipeline.nodes.len() + pipeline.outputs.len());
    assert_eq!((drawing.paths.len(), drawing.labels.len()), (pipeline.edges.len(), pipeline.edges.len()));
    for (index, one) in boxes.iter().enumerate() {
        assert!(one.x >= 0.0 && one.x + one.width <= drawing.width, "{one:?}");
        assert!(one.y >= 0.0 && one.y + one.height <= drawing.height, "{one:?}");
        for other in &boxes[index + 1..] {
            let apart = one.x + one.width < other.x
                || other.x + other.width < one.x
                || one.y + one.height + 8.0 < other.y
                || other.y + other.height + 8.0 < one.y;
            assert!(apart, "{one:?} and {other:?} touch");
        }
    }
    let place = |name: &str, is_output: bool| match is_output {
        true => 1 + pipeline.nodes.len() + pipeline.outputs.iter().position(|output| output.name == name).unwrap(),
        false => 1 + pipeline.nodes.iter().position(|node| node.name == name).unwrap(),
    };
    for (edge, path) in pipeline.edges.iter().zip(&drawing.paths) {
        let (from, to) = (edge.from.as_deref().map_or(0, |from| place(from, false)), place(&edge.to, edge.to_output));
        let points = points(path);
        let (begin, end) = (points[0], *points.last().unwrap());
        assert!((begin.0 - boxes[from].x - boxes[from].width).abs() < 0.2, "{path} leaves its box");
        assert!(begin.1 > boxes[from].y && begin.1 < boxes[from].y + boxes[from].height, "{path}");
        assert!(end.0 < boxes[to].x && end.0 > boxes[to].x - 8.0, "{path} reaches its box");
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{path} goes back");
        for (index, rect) in boxes.iter().enumerate() {
            let touches = |point: &&(f64, f64)| is_inside(rect, **point, if index == from { -0.2 } else { 0.0 });
            assert!(!points.iter().any(|point| touches(&point)), "{path} of {edge:?} crosses box {index}: {rect:?}");
        }
    }
}

#[test]
fn boxes_are_apart_and_lines_cross_none() {
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..300 {
        let pipeline = random(&mut rng);
        let drawing = lay_out(&pipeline);
        check(&pipeline, &drawing);
        assert_eq!(drawing, lay_out(&pipeline), "the same each time");
    }
}

#[test]
fn a_chain_is_a_straight_line() {
    let names = ["a", "b", "c"];
    let node = |name: &&str| Node { name: (*name).into(), ports: vec!["out".into()], ..Node::default() };
    let edge = |from: Option<&str>, to: &str, to_output| Edge {
        from: from.map(Into::into),
        port: if from.is_some() { "out".into() } else { String::new() },
        to: to.into(),
        to_output,
        ..Edge::default()
    };
    let pipeline = Pipeline {
        nodes: names.iter().map(node).collect(),
        outputs: vec![Output { name: "ok".into(), title: "ok".into(), ..Output::default() }],
        edges: vec![
            edge(None, "a", false),
            edge(Some("a"), "b", false),
            edge(Some("b"), "c", false),
            edge(Some("c"), "ok", true),
        ],
        ..Pipeline::default()
    };
    let drawing = lay_out(&pipeline);
    check(&pipeline, &drawing);
    assert!(drawing.boxes.iter().all(|rect| (rect.y - drawing.boxes[0].y).abs() < 0.2), "{:?}", drawing.boxes);
    assert!(drawing.paths.iter().all(|path| !path.contains('C')), "{:?}", drawing.paths);
}

/// A chain of nodes that all fail to one output.
fn chain(count: usize) -> Pipeline {
    let output = Output { name: "ok".into(), ..Output::default() };
    let mut pipeline = Pipeline { outputs: vec![output], ..Pipeline::default() };
    pipeline.edges.push(Edge { to: "n0".into(), ..Edge::default() });
    for index in 0..count {
        let ports = vec!["out".into(), "failed".into()];
        pipeline.nodes.push(Node { name: format!("n{index}"), ports, ..Node::default() });
        let from = Some(format!("n{index}"));
        let (to, to_output) = if index + 1 < count { (format!("n{}", index + 1), false) } else { ("ok".into(), true) };
        pipeline.edges.push(Edge { from: from.clone(), port: "out".into(), to, to_output, ..Edge::default() });
        let (to, failed) = ("ok".into(), true);
        pipeline.edges.push(Edge { from, port: "failed".into(), to, to_output: true, failed, ..Edge::default() });
    }
    pipeline
}

#[test]
fn a_long_chain_has_a_small_drawing() {
    let pipeline = chain(40);
    check(&pipeline, &lay_out(&pipeline));
    // The maximum of a pipeline.
    let drawing = lay_out(&chain(1000));
    assert_eq!(drawing.boxes.len(), 1002);
    let bytes: usize = drawing.paths.iter().map(String::len).sum();
    assert!(bytes < 1 << 20, "{bytes} bytes of paths");
}
